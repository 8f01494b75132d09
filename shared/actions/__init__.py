"""The containment actions: regenerate a key, end a stored policy, revoke delegation keys, lock down."""
