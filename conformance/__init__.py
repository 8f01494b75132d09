"""What this project believes of Azure and could not try without one, tried in a subscription of yours.

`python -m conformance` says what it would do; `--subscription` does it. `facts`: what is tried. `place`: where.
`death`: how long a credential lives on. `levers`, `logs`, `deployed`: how each fact is tried. `azd`: deploys and
takes down. Never deployed with the app.
"""
