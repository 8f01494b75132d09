"""The responders' API: submit, read, approve, reject, retry, undo (docs/openapi.yaml)."""
