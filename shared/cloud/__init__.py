"""Everything that calls Azure: clients, ARM, accounts, the data plane, Key Vault, Graph, log queries, Event Grid."""
