"""`make demo`: the leak of 2023 again, against the local cloud, with real clients, and this time with Sasquash."""
