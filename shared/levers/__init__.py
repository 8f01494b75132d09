"""One module a way to kill a credential, each with the same face: `describe`, `pull`, `prove`."""
