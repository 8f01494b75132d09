"""Azure Storage in memory, and a way from the real SDK clients to it without a socket.

For tests that run in one process, on a clock of their own. What it does is what Azure documents, as far as the
product and the local functions host use it; one suite of tests is passed by it and by Azurite.
"""
