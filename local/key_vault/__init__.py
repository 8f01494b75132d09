"""A stand-in for Key Vault."""
