"""How requests reach a stand-in under Azure's host names: proxy, TLS listener, certificates, faults."""
