"""The intake: takes the reports of other tools, and publishes what leaked as secret-free findings on the topic.

What comes in: `api`, which knows the sources (`reporters`) and their senders (`authentication`). What goes out:
`publishing`. Alerts that other tools keep are read by `alert_reading`. It parses hostile input and may only send
events: nothing here reads or changes a storage account that Sasquash looks after.
"""
