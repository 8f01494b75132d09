"""The API that scanners and services report to (docs/sources.md)."""
