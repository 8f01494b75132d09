"""`make demo`: replays the SAS leak of 2023 against the local cloud, with real clients and with Sasquash running."""
