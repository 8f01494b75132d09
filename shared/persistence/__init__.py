"""Table Storage and queues: records, their index, account locks, step leases, messages."""
