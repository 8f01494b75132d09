"""Routes requests to the stand-ins under Azure's host names: proxy, TLS listener, certificates, faults."""
