"""Owners of an account, and their notification."""
