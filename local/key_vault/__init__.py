"""Stand-in for Key Vault: secrets and their versions."""
