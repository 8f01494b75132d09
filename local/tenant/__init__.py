"""Shared by the stand-ins: the model of one tenant, its identities, the secrets of senders, the rules for tags."""
