"""What people get to see of a revocation: its owners are found (`owners`) and mailed (`mail`), an incident
is filed (`incident`). All that is told comes from one `briefing.Briefing`; `graph` speaks to Microsoft Graph.

None of it runs before a kill, and only `graph` is heavy to import: leave that to the follow-up.
"""
