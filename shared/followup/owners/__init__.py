"""Who owns an account, and whom to notify."""
