"""Stand-in for Azure Monitor: Log Analytics and Application Insights."""
