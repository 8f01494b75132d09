"""The HTTP API and the console. Nothing in here is imported on the way from an event to an action."""
