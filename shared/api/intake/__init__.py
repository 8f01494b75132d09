"""The HTTP API for reports of scanners and services (docs/sources.md)."""
