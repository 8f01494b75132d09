"""The slow path, once a record is decided: verification, incident, notifications, alerts, key distribution."""
