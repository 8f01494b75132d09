"""Sources that report leaks (GitHub, Azure DevOps, signed webhooks), and a receiver of incidents."""
