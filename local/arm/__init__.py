"""Stand-in for Azure Resource Manager, with Resource Graph."""
