"""The tools that report leaks, a module each: what their payloads say (pure), and for those that keep alerts, how an
alert is read and closed there. What all have in common is in `entries`.

Every payload is hostile: a field that is missing or of another type makes its item invalid, and no URL in it is
called.
"""
