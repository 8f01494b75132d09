"""The responders' HTTP API, as docs/openapi.yaml describes it: who calls (`signing_keys`, `tokens`), what is asked
(`json_body`, `requests`), what is answered (`views`, `problems`), and the routes that join them (`api`).

What is done is the desk's. None of this is imported on the way from an event to a kill.
"""
