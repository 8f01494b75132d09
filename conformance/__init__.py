"""Tests beliefs about Azure that only a real subscription can confirm.

`python -m conformance` lists them; `--subscription` tests them. `facts`: the list. `place`: the resource group and
its accounts. `revoked`: how long a credential is accepted after its revocation. `actions`, `accounts`, `logs`,
`deployed`, `signed_in`: the tests. `report`: the table of results. `azd`: deploys and deletes an environment. Not
deployed with the app.
"""
