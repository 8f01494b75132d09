"""A stand-in for Event Grid: topic, schemas, delivery, dead letters."""
