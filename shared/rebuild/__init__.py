"""The command `python -m shared.rebuild`: writes the records of the copy back into the ledger."""
