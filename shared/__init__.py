"""Sasquash: revokes leaked Azure Storage credentials, and verifies that they are no longer accepted.

docs/architecture.md describes the packages. Imports point down its list, which `make lint` checks.
"""
