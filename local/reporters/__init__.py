"""Services that report leaks, and a receiver of incidents: GitHub, Azure DevOps, signed reports."""
