"""Files of scripts, clusters, pipelines and logs, and documents, in which credentials leak."""

from tests.support.credential_maker import Maker
from tests.support.leaking_files.writers import connection, encoded, file


@file("scripts/upload.sh")
def _(make: Maker) -> str:
    account = make.account()
    return f"""#!/bin/sh
az storage blob upload --account-name {account} --container-name builds \\
    --account-key {make.key(account)} --file out.zip
"""


@file("scripts/copy.sh")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.dfs.core.windows.net/lake/raw/2026?{make.directory(account, 'lake/raw/2026')}"
    return f"#!/bin/sh\nazcopy copy ./data '{url}' --recursive\n"


@file("scripts/fields.sh")
def _(make: Maker) -> str:
    account = make.account()
    fields = make.container(account, "logs").replace("%3A", ":").replace("%2B", "+").replace("%2F", "/")
    lines = " \\\n  ".join(f'--data-urlencode "{pair.replace("%3D", "=")}"' for pair in fields.split("&"))
    return f"curl -G https://{account}.blob.core.windows.net/logs \\\n  {lines}\n"


@file("scripts/deploy.ps1")
def _(make: Maker) -> str:
    account = make.account()
    return f"""$context = New-AzStorageContext -StorageAccountName "{account}" `
    -StorageAccountKey "{make.key(account)}"
Set-AzStorageBlobContent -File app.zip -Container '$web' -Context $context
"""


@file("README.md")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/data/set.zip?{make.blob(account, 'data/set.zip')}"
    return f"# The model\n\nDownload [the data set]({url}), see https://{account}.blob.core.windows.net/docs/a.pdf.\n"


@file("docs/partners.html")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/public/price.pdf?{make.blob(account, 'public/price.pdf')}"
    return f'<p>Our <a href="{url.replace("&", "&amp;")}">price list</a>.</p>\n'


@file("docker-compose.yml")
def _(make: Maker) -> str:
    account = make.account()
    storage = connection(account, make.key(account))
    return f"services:\n  api:\n    image: contoso/api\n    environment:\n      - STORAGE={storage}\n"


@file("Dockerfile")
def _(make: Maker) -> str:
    account = make.account()
    return f"FROM python:3.13\nENV AZURE_STORAGE_ACCOUNT={account} \\\n    AZURE_STORAGE_KEY={make.key(account)}\n"


@file("k8s/secret.yaml")
def _(make: Maker) -> str:
    account = make.account()
    return f"""apiVersion: v1
kind: Secret
metadata:
  name: azure-secret
data:
  azurestorageaccountname: {encoded(account)}
  azurestorageaccountkey: {encoded(make.key(account))}
"""


@file("k8s/connection.yaml")
def _(make: Maker) -> str:
    account = make.account()
    return f"kind: Secret\ndata:\n  connection: {encoded(connection(account, make.key(account)))}\n"


@file("k8s/url.yaml")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/in?{make.container(account, 'in')}"
    return f"kind: Secret\ndata:\n  url: {encoded(url)}\n"


@file("k8s/plain.yaml")
def _(make: Maker) -> str:
    account = make.account()
    key = make.key(account)
    return f"kind: Secret\nstringData:\n  azurestorageaccountkey: {key}\n  azurestorageaccountname: {account}\n"


@file("logs/app.log")
def _(make: Maker) -> str:
    account = make.account()
    lines = [f"2026-11-30T10:00:{second:02}Z INFO request {second} done" for second in range(60)]
    path = f"https://{account}.blob.core.windows.net/jobs/7?{make.blob(account, 'jobs/7')}"
    lines[30] = f"2026-11-30T10:00:30Z ERROR GET {path} failed: 404"
    return "\n".join(lines)


@file("logs/delegation.log")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/models/a.bin?{make.delegation(account, 'models/a.bin')}"
    return f"2026-11-30 10:00:00 downloading {url}\n"


@file("ci/pipeline.yml")
def _(make: Maker) -> str:
    account = make.account()
    token = make.account_sas(account)
    value = f"BlobEndpoint=https://{account}.blob.core.windows.net/;SharedAccessSignature={token}"
    return f'steps:\n  - script: make publish\n    env:\n      STORAGE: "{value}"\n'


@file("ci/rclone.conf")
def _(make: Maker) -> str:
    account = make.account()
    return f"[azure]\ntype = azureblob\naccount = {account}\nkey = {make.key(account)}\n"


@file("data/accounts.csv")
def _(make: Maker) -> str:
    first, second = make.account(), make.account()
    rows = [f"{name},westeurope,{connection(name, make.key(name))}" for name in (first, second)]
    return "\n".join(["account,region,connection string", *rows, ""])
