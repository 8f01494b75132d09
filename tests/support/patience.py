"""How long a test waits for another process or task before it calls that a hang. It says nothing about speed."""

PATIENCE = 180.0  # seconds
