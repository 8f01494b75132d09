"""Investigation after a revocation: usage of the credential, and residual exposure."""
