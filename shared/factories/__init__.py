"""Builds services, once a process and each when it is first used.

Three factories, for what triggers a function: `fast_path` takes a finding until its credential is revoked,
`background` has the follow-up and the timers, `http` the routes. All three use `connections`; a later one may use an
earlier one.
"""
