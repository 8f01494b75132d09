"""The fast path, from a finding to a containment action or to a record that says why there is none."""
