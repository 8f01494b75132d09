"""What is watched before anything leaks: the SAS in use, read from the storage logs. Read only.

`uses` rates and orders what the logs have, `signers` finds the key that signed, `service` answers a request, and
`python -m shared.watch` prints the same. Nothing here changes anything in Azure.
"""
