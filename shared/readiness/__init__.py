"""Whether a kill would succeed tomorrow: a daily look at each account, and a weekly drill on one that holds nothing.

`checks`: what stands in the way (pure). `governance`: what Azure has of locks, denials, rights and logs. `looking`:
the daily look. `drill`: the rehearsal. `table`: the records of both. `api`: how people read them.
"""
