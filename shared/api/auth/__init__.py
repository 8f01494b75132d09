"""Authentication and authorization of callers: Entra ID access tokens, their signing keys and roles."""
