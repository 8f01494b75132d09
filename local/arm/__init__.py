"""Stand-ins for Azure Resource Manager and Resource Graph."""
