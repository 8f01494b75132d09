# ruff: noqa: E501, UP031 -- the rows are texts as they stand
"""Texts of tools and languages, each with a token or a key that its account's keys verify.

Each row is the form that the tool's documentation shows for a setting, or that the language prints.
"""

import base64
import html
import json

import pytest

from shared.sas.answers import answer
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS
from tests.unit.sas.test_clients import by_dotnet, by_java, signed

CONTAINER = {"sv": "2022-11-02", "sr": "c", "se": "2031-10-06T00:00:00Z", "sp": "r"}
BLOB_TOKEN = by_java(signed(CONTAINER | {"sr": "b"}, "a b/c.txt"))
TOKEN = by_java(signed(CONTAINER, ""))
POLICY_TOKEN = by_dotnet(signed({"sv": "2022-11-02", "sr": "c", "si": "it's 1"}, ""))
PARAMETERS = dict(pair.split("=") for pair in TOKEN.split("&"))
KEY = KEYS["key1"]


def in_base64(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


TEXTS = {
    "log fields": f'level=info host={HOST} path=/models/a%20b/c.txt query="{BLOB_TOKEN}" status=200',
    "nginx": f'10.0.0.1 - - [21/Nov/2026:10:00:05 +0000] "GET /models/a%20b/c.txt?{BLOB_TOKEN} HTTP/1.1" 200 5 "-" "x" host={HOST}',
    "go url": f'&url.URL{{Scheme:"https", Host:"{HOST}", Path:"/models/a b/c.txt", RawPath:"", RawQuery:"{BLOB_TOKEN}"}}',
    "arm params": '{"parameters": {"storageAccountName": {"value": "%s"}, "containerName": {"value": "models"}, "sasToken": {"value": "?%s"}}}'
    % (ACCOUNT, TOKEN),
    "cscfg": f'<Setting name="StorageAccount" value="{ACCOUNT}"/><Setting name="Container" value="models"/><Setting name="Sas" value="{html.escape(TOKEN)}"/>',
    "k8s env": f'env:\n- name: STORAGE_ACCOUNT\n  value: {ACCOUNT}\n- name: CONTAINER_NAME\n  value: models\n- name: SAS\n  value: "{TOKEN}"\n',
    "k8s secret": "data:\n  account: %s\n  container: %s\n  sas: %s\n"
    % tuple(in_base64(x) for x in (ACCOUNT, "models", TOKEN)),
    "var url": f'account="{ACCOUNT}"\nurl="https://${{account}}.blob.core.windows.net/models/a%20b/c.txt?{BLOB_TOKEN}"',
    "var url2": f'STORAGE={ACCOUNT}\ncurl "https://$STORAGE.blob.core.windows.net/models?{TOKEN}"',
    "brace": f'account = "{ACCOUNT}"\nurl = f"https://{{account}}.blob.core.windows.net/models?{TOKEN}"',
    "yaml quote": "url: 'https://%s/models?%s'" % (HOST, POLICY_TOKEN.replace("'", "''")),
    "wbr": f"<p>https://{HOST}/<wbr>models?{html.escape(TOKEN[:40])}<wbr>{html.escape(TOKEN[40:])}</p>",
    "span": f'<span class="k">sas</span>=<span class="s">"https://{HOST}/models?{html.escape(TOKEN).replace("sig=", "sig=<b>")}</b>"</span>',
    "zwsp": f"https://{HOST}/models?{TOKEN[:50]}\u200b{TOKEN[50:]}",
    "tokens map": json.dumps({"account": ACCOUNT, "container": "models", "sas": PARAMETERS}),
    "python dict": f"requests.get('https://{HOST}/models', params={PARAMETERS!r})",
    "concat": f'"https://" + "{HOST}" + "/models" + "?" + "{TOKEN}"',
    "c literals": f'const char *u = "https://{HOST}/models"\n   "?{TOKEN[:60]}"\n   "{TOKEN[60:]}";',
    "ps here": f'$u = "https://{HOST}/models" + `\n   "?{TOKEN}"',
    "csproj": f"<DefineConstants>URL=https://{HOST}/models?{html.escape(html.escape(TOKEN))}</DefineConstants>",
    "dockerfile": f'ENV SAS="{TOKEN}" \\\n  ACCOUNT={ACCOUNT} \\\n  CONTAINER=models',
    "tf": f'storage_account_name = "{ACCOUNT}"\n  container_name       = "models"\n  sas_token            = "{TOKEN}"',
    "rclone": f"[r]\ntype = azureblob\nsas_url = https://{HOST}/models?{TOKEN}",
    "sql": f"CREATE CREDENTIAL [https://{HOST}/models] WITH IDENTITY='SHARED ACCESS SIGNATURE', SECRET='{TOKEN}'",
    "csv": f'id,url\n1,"https://{HOST}/models?{TOKEN}"\n',
    "md table": f"| a | https://{HOST}/models?{TOKEN} |",
    "json url parts": json.dumps(
        {"protocol": "https:", "hostname": HOST, "pathname": "/models", "search": "?" + TOKEN}
    ),
    "snapshot 1st": f"GET /models?restype=container&comp=list&{TOKEN} HTTP/1.1\nHost: {HOST}",
    "two accounts": f'SRC=https://fabrikamweb.blob.core.windows.net/a\nazcopy cp "https://{HOST}/models?{TOKEN}" .',
    "key k8s": "data:\n  azurestorageaccountname: %s\n  azurestorageaccountkey: %s\n"
    % tuple(in_base64(x) for x in (ACCOUNT, KEY)),
    "key nopad": f"account_name={ACCOUNT}\naccount_key={KEY.rstrip('=')}",
    "key cols": f"account   {ACCOUNT}\nkey       {KEY}",
    "key shared": f'account_name = "{ACCOUNT}"\nshared_key = "{KEY}"',
    "key utf16b64": in_base64(f"AccountName={ACCOUNT};AccountKey={KEY}", "utf-16-le"),
    "key tf state": json.dumps(
        {"name": ACCOUNT, "primary_access_key": KEY, "primary_blob_endpoint": f"https://{HOST}/"}
    ),
    "key wrapped": f"account_name: {ACCOUNT}\naccount_key: >-\n  {KEY[:60]}\n  {KEY[60:]}\n",
    "key sk": f'const sharedKeyCredential = new StorageSharedKeyCredential(\n  "{ACCOUNT}",\n  "{KEY}"\n);',
    "key env json": json.dumps(
        [
            {"name": "AZURE_STORAGE_ACCOUNT", "value": ACCOUNT, "slotSetting": False},
            {"name": "AZURE_STORAGE_KEY", "value": KEY, "slotSetting": False},
        ]
    ),
    "key compose": f"environment:\n  - STORAGE_ACCOUNT={ACCOUNT}\n  - STORAGE_KEY={KEY}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_read_so_that_a_key_verifies_it(name: str) -> None:
    found = answer({"text": TEXTS[name], "keys": {ACCOUNT: KEYS, "fabrikamweb": KEYS}})["credentials"]

    assert isinstance(found, list)
    assert [(each["account"], each["signed_by"]) for each in found] == [
        (ACCOUNT, "key1" if name.startswith("key") else "key2")
    ]
