"""Azure Storage in memory, and transports from the real SDK clients to it without sockets.

For tests in one process with a simulated clock. It does what Azure documents, as far as the product and the local
functions host use it. One test suite runs against it and against Azurite.
"""
