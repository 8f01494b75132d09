"""The sources of reports, one module each: the format of its payloads (pure), and how its alerts are read and closed.

`entries` has what all formats share. Every payload is hostile: a required field that is missing or of another type
makes its item invalid, and no URL in a payload is called.
"""
