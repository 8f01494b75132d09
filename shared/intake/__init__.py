"""The command of the intake: see `__main__`."""
