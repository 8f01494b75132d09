"""What people read about a revocation, as one value that every channel renders."""
