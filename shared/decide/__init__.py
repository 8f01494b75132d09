"""The pure rooms of a decision.

`attribution`: which key. `delegation`, `grants`: what else can be told of a token. `rules`, `rule_table`: what may be
done unasked. `plan`, `proposal`: what would be done. `policy`: may we. `repeated`: a report of what is known already.
"""
