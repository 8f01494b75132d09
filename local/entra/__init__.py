"""Stand-in for Entra ID: tokens, sign-in, and the managed identity endpoint."""
