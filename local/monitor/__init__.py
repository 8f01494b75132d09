"""Stand-ins for Log Analytics and Application Insights."""
