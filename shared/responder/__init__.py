"""The responders' HTTP API, as docs/openapi.yaml describes it: what is asked (`requests`), what is answered
(`views`), and the routes that join them (`api`).

What is done is the desk's. None of this is imported on the way from an event to a kill.
"""
