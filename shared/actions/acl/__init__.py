"""Stored access policies: how they are written, and how they are read and replaced by data plane and by ARM."""
