"""What the stand-ins share: the model of one tenant, its identities, senders and tags."""
