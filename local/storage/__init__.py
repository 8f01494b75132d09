"""Azure Storage: a front that checks access, before a real Azurite."""
