"""Shared access signatures as Azure Storage reads, verifies and enforces them. Nothing of the product is used.

`token` reads, `signing` verifies, `expiration_policy` and `admission` enforce.
"""
