"""Notifications by mail: composition, HTML, and the summary of unconfirmed findings."""
