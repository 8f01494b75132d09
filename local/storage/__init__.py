"""Stand-in for Azure Storage: checks access in front of Azurite."""
