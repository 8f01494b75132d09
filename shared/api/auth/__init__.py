"""Who calls: access tokens of Entra ID, their signing keys, and the roles they carry."""
