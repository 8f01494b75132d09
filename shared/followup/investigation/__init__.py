"""What follow-up finds out for people: who used the credential, and what stays exposed."""
