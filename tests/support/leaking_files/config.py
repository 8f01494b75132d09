"""Configuration files, and those of Terraform, in which credentials leak."""

import json

from tests.support.credential_maker import Maker
from tests.support.leaking_files.writers import connection, file


@file(".env")
def _(make: Maker) -> str:
    account = make.account()
    return f"NODE_ENV=production\nAZURE_STORAGE_ACCOUNT={account}\nAZURE_STORAGE_KEY={make.key(account)}\nPORT=8080\n"


@file(".env.staging")
def _(make: Maker) -> str:
    account = make.account()
    return f'# staging\nAZURE_STORAGE_CONNECTION_STRING="{connection(account, make.key(account, "key2"))}"\n'


@file(".env.partner")
def _(make: Maker) -> str:
    account = make.account()
    return f"PARTNER_URL=https://{account}.blob.core.windows.net/exports?{make.container(account, 'exports')}\n"


@file("config/settings.yaml")
def _(make: Maker) -> str:
    account = make.account()
    key = make.key(account)
    return f"app:\n  name: reports\nstorage:\n  access_key: {key}\n  retries: 3\n  account_name: {account}\n"


@file("config/sas.yml")
def _(make: Maker) -> str:
    account = make.account()
    token = make.account_sas(account)
    return f"upload:\n  account: {account}\n  container: incoming\n  sas_token: '?{token}'\n"


@file("config/backup.ini")
def _(make: Maker) -> str:
    account = make.account()
    return f"[azure]\naccount = {account}\nkey = {make.key(account)}\n\n[schedule]\nevery = 1d\n"


@file("config/app.toml")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.file.core.windows.net/share?{make.share(account, 'share')}"
    return f'[files]\nurl = "{url}"\nmount = "/mnt/share"\n'


@file("src/Api/appsettings.json")
def _(make: Maker) -> str:
    first, second = make.account(), make.account()
    url = f"https://{second}.queue.core.windows.net/orders?{make.queue(second, 'orders')}"
    settings = {"ConnectionStrings": {"Storage": connection(first, make.key(first))}, "Queue": {"Url": url}}
    return json.dumps(settings, indent=2)


@file("src/Api/local.settings.json")
def _(make: Maker) -> str:
    account = make.account()
    return json.dumps(
        {"IsEncrypted": False, "Values": {"AzureWebJobsStorage": connection(account, make.key(account))}}
    )


@file("src/Api/Web.config")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/photos?{make.container(account, 'photos')}".replace("&", "&amp;")
    return (
        f'<configuration>\n<appSettings>\n  <add key="PhotosUrl" value="{url}" />\n</appSettings>\n</configuration>\n'
    )


@file("infra/main.tf")
def _(make: Maker) -> str:
    account = make.account()
    return f"""terraform {{
  backend "azurerm" {{
    storage_account_name = "{account}"
    container_name       = "tfstate"
    key                  = "prod.tfstate"
    access_key           = "{make.key(account)}"
  }}
}}
"""


@file("infra/terraform.tfstate")
def _(make: Maker) -> str:
    account = make.account()
    resource = {
        "mode": "managed",
        "type": "azurerm_storage_account",
        "name": "data",
        "provider": 'provider["registry.terraform.io/hashicorp/azurerm"]',
        "instances": [
            {"attributes": {"name": account, "primary_access_key": make.key(account),
                            "primary_blob_host": f"{account}.blob.core.windows.net",
                            "secondary_access_key": make.key(account, "key2")}}
        ],
    }  # fmt: skip
    return json.dumps({"version": 4, "resources": [resource]}, indent=2)


@file("infra/backend.hcl")
def _(make: Maker) -> str:
    account = make.account()
    token = make.container(account, "tfstate")
    return f'storage_account_name = "{account}"\ncontainer_name = "tfstate"\nsas_token = "?{token}"\n'
