"""What every route that people and programs call shares: who calls (`signing_keys`, `tokens`), how a body is read
(`json_body`), how things are answered (`answers`, `problems`).

None of this is imported on the way from an event to a kill.
"""
