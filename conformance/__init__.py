"""Tests assumptions about Azure that only a real subscription can confirm.

`python -m conformance` lists them; `--subscription` tests them. `facts`: the list. `place`: the resource group and
its accounts. `revoked`: how long a credential is accepted after its revocation. `actions`, `logs`, `deployed`: the
tests. `azd`: deploys and deletes an environment. Not deployed with the app.
"""
