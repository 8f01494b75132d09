"""Pure values: what a finding, a record, an account and a person are. Imports no Azure SDK and reads no settings."""
