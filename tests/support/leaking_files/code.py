"""Source files in which credentials leak."""

import json

from tests.support.credential_maker import Maker
from tests.support.leaking_files.writers import file


@file("src/Api/Startup.cs")
def _(make: Maker) -> str:
    account = make.account()
    return f"""public class Startup
{{
    private static readonly StorageSharedKeyCredential Credential =
        new StorageSharedKeyCredential("{account}",
            "{make.key(account)}");
}}
"""


@file("src/Api/Uploads.cs")
def _(make: Maker) -> str:
    account = make.account()
    token = make.blob(account, "uploads/in.csv")
    other = make.blob(account, "uploads/out.csv")
    return f"""var target = new Uri("https://{account}.blob.core.windows.net/uploads/in.csv");
var client = new BlobClient(target, new AzureSasCredential("{token}"));
var output = "https://{account}.blob.core.windows.net/uploads/out.csv?{other[:70]}" +
    "{other[70:120]}" +
    "{other[120:]}";
"""


@file("src/main/java/Storage.java")
def _(make: Maker) -> str:
    account = make.account()
    key = make.key(account)
    return f"""class Storage {{
    static final String ACCOUNT_NAME = "{account}";
    static final String ACCOUNT_KEY = "{key}";
}}
"""


@file("src/main/resources/application.properties")
def _(make: Maker) -> str:
    account = make.account()
    return f"""spring.cloud.azure.storage.blob.account-name={account}
spring.cloud.azure.storage.blob.container-name=invoices
spring.cloud.azure.storage.blob.account-key={make.key(account)}
"""


@file("src/main/java/Queues.java")
def _(make: Maker) -> str:
    account = make.account()
    fields = make.queue(account, "jobs").split("&")
    first = "&".join([fields[-1], *fields[:-1]])  # as older clients write it, the signature first
    return f'String jobs = "https://{account}.queue.core.windows.net/jobs?{first}";\n'


@file("app/storage.py")
def _(make: Maker) -> str:
    account = make.account()
    return f"""from azure.storage.blob import BlobServiceClient

client = BlobServiceClient(
    account_url="https://{account}.blob.core.windows.net",
    credential="{make.key(account)}",
)
"""


@file("app/tables.py")
def _(make: Maker) -> str:
    account = make.account()
    return f'PEOPLE = "https://{account}.table.core.windows.net/People?{make.table(account, "People")}"\n'


@file("app/two_accounts.py")
def _(make: Maker) -> str:
    source, target = make.account(), make.account()
    return f"""SOURCE_ACCOUNT = "{source}"
SOURCE_KEY = "{make.key(source)}"
TARGET_ACCOUNT = "{target}"
TARGET_KEY = "{make.key(target)}"
"""


@file("app/policy.py")
def _(make: Maker) -> str:
    account = make.account()
    token = make.container(account, "partners", policy_id="readers")
    return f'PARTNERS = "https://{account}.blob.core.windows.net/partners?{token}"\n'


@file("web/upload.js")
def _(make: Maker) -> str:
    account = make.account()
    token = make.blob(account, "assets/logo.png")
    return f"const url = `https://{account}.blob.core.windows.net/assets/logo.png?{token}`;\nexport default url;\n"


@file("web/redirect.js")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/assets/app.js?{make.blob(account, 'assets/app.js')}"
    escaped = url.replace("%", "%25").replace(":", "%3A").replace("/", "%2F").replace("?", "%3F")
    escaped = escaped.replace("=", "%3D").replace("&", "%26")
    return f'location.href = "https://login.contoso.com/?next={escaped}";\n'


@file("web/state.json")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/state/s.json?{make.blob(account, 'state/s.json')}"
    return json.dumps({"page": {"assets": url}}).replace("&", "\\u0026")


@file("web/minified.json")
def _(make: Maker) -> str:
    account = make.account()
    rows: list[object] = [{"id": number, "title": f"Item {number}", "tags": ["a", "b"]} for number in range(200)]
    rows[100] = {"accountName": account, "id": 100, "accountKey": make.key(account)}
    return json.dumps({"rows": rows}, separators=(",", ":"))


@file("notebooks/train.ipynb")
def _(make: Maker) -> str:
    account = make.account()
    url = f"https://{account}.blob.core.windows.net/models/resnet.ckpt?{make.blob(account, 'models/resnet.ckpt')}"
    spark = make.account()
    configured = f'spark.conf.set("fs.azure.account.key.{spark}.dfs.core.windows.net", "{make.key(spark)}")\n'
    cells = [
        {"cell_type": "code", "source": ["import torch\n", f'weights = "{url}"\n']},
        {"cell_type": "code", "source": [configured]},
    ]
    return json.dumps({"cells": cells, "nbformat": 4}, indent=1)


@file("tests/fixture.go")
def _(make: Maker) -> str:
    account = make.account()
    fields = sorted(make.shared_file(account, "share", "in/a.txt").split("&"))  # as Go's url.Values writes it
    return f'package fixture\n\nconst File = "https://{account}.file.core.windows.net/share/in/a.txt?{"&".join(fields)}"\n'
