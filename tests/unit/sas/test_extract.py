"""Credentials are found in whatever surrounds them, once each; what only looks like one is left alone."""

import base64
import html
import json
import quopri
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sas import Kind, extract
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, container_url, only, query, signature

URL = container_url()
TOKEN = URL.partition("?")[2]
SIG = quote(signature("x"), safe="")
EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def wrapped(text: str, width: int = 60) -> list[str]:
    return [text[start : start + width] for start in range(0, len(text), width)]


SURROUNDINGS: dict[str, Callable[[str], str]] = {
    "alone": lambda url: url,
    "prose": lambda url: f"Hi, it is at {url}. Thanks!",
    "parentheses": lambda url: f"(see {url})",
    "comma": lambda url: f"17,{url},5123",
    "markdown": lambda url: f"See the [dump]({url}) for details.",
    "angle brackets": lambda url: f"* <{url}>",
    "html": lambda url: f'<a href="{html.escape(url)}">x</a>',
    "html twice": lambda url: html.escape(f'<a href="{html.escape(url)}">x</a>'),
    "numeric entities": lambda url: url.replace("&", "&#38;").replace("=", "&#x3D;"),
    "json": lambda url: json.dumps({"url": url}),
    "json of Go": lambda url: json.dumps({"url": url}).replace("&", "\\u0026"),
    "json of PHP": lambda url: json.dumps({"url": url}).replace("/", "\\/"),
    "json in json": lambda url: json.dumps({"a": json.dumps({"b": url}).replace("&", "\\u0026")}),
    "hex escapes": lambda url: url.replace("&", "\\x26"),
    "single quotes": lambda url: f"curl '{url}'|tar xz",
    "shell escapes": lambda url: "curl " + url.replace("?", "\\?").replace("&", "\\&"),
    "cmd escapes": lambda url: "curl " + url.replace("&", "^&"),
    "quoted ampersands": lambda url: "azcopy copy " + url.replace("&", '"&"'),
    "batch file": lambda url: "set URL=" + url.replace("%", "%%"),
    "backtick escapes": lambda url: "curl " + url.replace("&", "`&"),
    "shell continuation": lambda url: "\\\n".join(wrapped(f'curl "{url}"')),
    "yaml, double quoted": lambda url: 'url: "' + "\\\n    ".join(wrapped(url)) + '"',
    "yaml, folded": lambda url: "url: >-\n  " + "\n  ".join(wrapped(url)) + "\nother: 1",
    "quoted-printable": lambda url: quopri.encodestring(f"See {url} today, é".encode()).decode(),
    "python literals": lambda url: "(\n" + "\n".join(f'    "{line}"' for line in wrapped(url)) + "\n)",
    "javascript sum": lambda url: '"' + '" +\n  "'.join(wrapped(url)) + '";',
    "basic sum": lambda url: '"' + '" & _\n  "'.join(wrapped(url)) + '"',
    "hard wrapped": lambda url: "See\n" + "\n".join(wrapped(url)) + "\nthanks",
    "quoted mail": lambda url: "> See\n" + "\n".join(f"> {line}" for line in wrapped(url)),
    "comment": lambda url: "\n".join(f"# {line}" for line in wrapped(url)),
    "diff": lambda url: "@@ x\n@@ y\n" + "\n".join(f"+{line}" for line in wrapped(url)) + "\n+",
    "redirect": lambda url: f"https://portal.example/open?target={quote(url, safe='')}&lang=en",
    "redirect twice": lambda url: f"https://a.example/?u={quote(quote(url, safe=''), safe='')}&x=1",
    "encoded twice": lambda url: url.replace("%", "%25"),
    "not encoded": lambda url: url.replace("%3A", ":").replace("%2B", "+").replace("%2F", "/").replace("%3D", "="),
    "lower-case hex": lambda url: url.replace("%3A", "%3a").replace("%3D", "%3d").replace("%2B", "%2b"),
    "fragment": lambda url: f"azcopy copy '{url}#' .",
    "base64": lambda url: f"data:\n  url: {base64.b64encode(url.encode()).decode()}\n",
    "base64 twice": lambda url: f"url: {base64.b64encode(base64.b64encode(url.encode())).decode()}\n",
    "mime": lambda url: base64.encodebytes(f"See {url}\n".encode()).decode(),
}


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
def test_url_is_found_in(surrounding: str) -> None:
    assert extract(SURROUNDINGS[surrounding](URL)) == extract(URL)


@given(st.sampled_from(sorted(SURROUNDINGS)), st.binary(min_size=32, max_size=32).filter(lambda b: len(set(b)) > 20))
def test_any_signature_is_found_in_any_surrounding(surrounding: str, mac: bytes) -> None:
    parameters = {"sv": "2022-11-02", "se": "2030-01-01T00:00:00Z", "sp": "r", "sr": "c"}
    url = f"https://{HOST}/models?{query(parameters, base64.b64encode(mac).decode())}"
    assert extract(SURROUNDINGS[surrounding](url)) == extract(url) != ()


@given(
    st.permutations(
        ["sv=2022-11-02", "se=2030-01-01T00%3A00%3A00Z", "sp=r", "sr=c", "timeout=30", TOKEN.split("&")[-1]]
    )
)
def test_order_of_parameters_and_foreign_ones_do_not_matter(pairs: list[str]) -> None:
    assert only(f"https://{HOST}/models?{'&'.join(pairs)}.") == only(URL)


@given(st.text())
def test_any_text_is_accepted(text: str) -> None:
    extract(text)


FRAGMENTS = ["sig=", "&", "?", "=", "%3D", "%", "\\", '"', "'", "\n", " ", "https://", "AccountKey=", ";", "&amp;"]
FRAGMENTS += ["A" * 43, HOST, TOKEN, URL, KEYS["key1"]]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_any_mixture_of_fragments_is_accepted(parts: list[str]) -> None:
    for credential in extract("".join(parts)):
        assert credential.fingerprint


def test_half_characters_do_not_break_it() -> None:
    assert extract(f"\ud800 {URL} \\ud800") == extract(URL)


def test_signature_that_looks_like_quoted_printable_is_none() -> None:
    parameters = {"sv": "2022-11-02", "se": "2030-01-01T00:00:00Z", "sp": "r", "sr": "c"}
    url = f"https://{HOST}/models?{query(parameters, '3D' + signature('x')[2:])}"
    assert extract(SURROUNDINGS["python literals"](url)) == extract(url) != ()


def test_token_that_goes_on_in_the_next_line_is_found_whole() -> None:
    head, tail = f"https://{HOST}/models?sp=r&se=2030-01-01T00:00:00Z&rscl=de", f"&sv=2022-11-02&sr=c&sig={SIG}"
    assert extract(f'"{head}"\n"{tail}"') == extract(head + tail)


def test_path_that_goes_on_in_the_next_line_is_found_whole() -> None:
    url = container_url(sr="b").replace("/models?", "/models/weights.bin?")
    assert only(url.replace("weights.bin", "weig\\\nhts.bin")).resource_path == "weights.bin"


def test_encodings_deeper_than_anyone_leaks_by_accident_are_left_alone() -> None:
    deep = URL
    for _ in range(10):
        deep = quote(deep, safe="")
    assert extract(deep) == ()


# Once each, in order


def test_several_credentials_come_in_order_of_appearance() -> None:
    other = f"https://other.blob.core.windows.net/c?{TOKEN}"
    text = f"{URL}\nAccountName={ACCOUNT};AccountKey={KEYS['key1']}\n{other}"
    assert [(found.kind, found.account) for found in extract(text)] == [
        (Kind.SERVICE_SAS, ACCOUNT),
        (Kind.ACCOUNT_KEY, ACCOUNT),
        (Kind.SERVICE_SAS, "other"),
    ]


def test_same_credential_is_found_once() -> None:
    assert len(extract(f"{URL} {URL} {html.escape(URL)} {URL.replace('/models?', '/models/b?')}")) == 1


def test_altered_copy_is_another_credential() -> None:
    assert len(extract(f"{URL}\n{container_url(sp='rw')}")) == 2


def test_key_that_is_named_twice_is_found_once() -> None:
    assert len(extract(f"AccountName={ACCOUNT};AccountKey={KEYS['key1']}\nkey = '{KEYS['key1']}'")) == 1


def test_wrapped_token_is_not_also_found_in_part() -> None:
    head, tail = URL.split("&sr=")
    assert extract(f'url: "{head}\\\n  &sr={tail}"') == extract(URL)


# Other secrets

KEY = KEYS["key1"]
OTHER_SECRETS = {
    "Logic Apps": f"https://prod-28.eastus.logic.azure.com:443/workflows/a?sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={SIG}",
    "Function key": f"https://fa.azurewebsites.net/api/x?code={SIG}",
    "Service Bus": f"SharedAccessSignature sr=https%3a%2f%2fx.servicebus.windows.net&sig={SIG}&se=1795219200&skn=R",
    "Service Bus connection": f"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={SIG}",
    "Event Hubs connection": f"Endpoint=sb://x.example/;SharedAccessSignature=SharedAccessSignature sr=sb://x&sig={SIG}&skn=R",
    "IoT Hub": f"HostName=x.azure-devices.net;SharedAccessSignature=SharedAccessSignature sr=x&sig={SIG}&se=17",
    "Cosmos DB": f"AccountEndpoint=https://x.documents.azure.com:443/;AccountKey={KEY};",
    "Cosmos DB key": f'CosmosClient("https://x.documents.azure.com:443/", "{KEY}")',
    "Cosmos DB tables": f"AccountName=x12;AccountKey={KEY};TableEndpoint=https://x12.table.cosmos.azure.com:443/;",
    "Cosmos DB table token": f"https://x12.table.cosmos.azure.com/t?sv=2019-02-02&tn=t&sp=r&sig={SIG}",
    "Cosmos DB connection token": f"TableEndpoint=https://x.table.cosmos.azure.com;SharedAccessSignature=sv=2019-02-02&tn=t&sig={SIG}",
    "App Configuration": f"Endpoint=https://x.azconfig.io;Id=a;Secret={SIG}",
    "API Management": f"integration&202712010000&{KEY}",
    "Batch": f"https://x.westeurope.batch.azure.com key={KEY}",
    "subresource integrity": f'"integrity": "sha512-{KEY}"',
    "some secret": f"JWT_SECRET={KEY}",
    "Log Analytics": f'storage_account_name = "acct"\nworkspace_key = "{KEY}"',
    "Log Analytics in ARM": f'"storageAccountName": "acct", "primarySharedKey": "{KEY}"',
    "a named hash": f'["sha512", "{KEY}"]',
    "a named secret": f"{{'secret', '{KEY}'}}",
    "Cosmos DB for MongoDB": f"mongodb://x:{KEY}@x.mongo.cosmos.azure.com:10255/?ssl=true",
    "a word that ends in sig": f"desig={SIG}&x=1",
    "Event Grid": f"r=https%3a%2f%2fx.eventgrid.azure.net%2fapi%2fevents&e=1%2f1%2f2030&s={SIG}",
    "a named key": f"https://{HOST}/c?sv=2022-11-02&sr=c&sp=r&skn=Root&sig={SIG}",
    "placeholder": "https://<account>.blob.core.windows.net/<container>?sv=<sv>&sr=c&sig=<signature>",
    "x placeholder": f"https://{HOST}/c?sv=2022-11-02&sr=c&sp=r&sig={'x' * 43}%3D",
    "x key": f"AccountName=acct;AccountKey={'x' * 86}==",
    "generic": f"https://api.example.com/v1?id=7&se=1795219200&sig={SIG}",
    "generic with a version": f"https://api.example.com/v1?sv=2024-01-01&sp=r&sig={SIG}",
    "local generic": f"http://localhost:3000/api?sv=2024-01-01&sig={SIG}",
    "short signature": f"https://{HOST}/c?sv=2022-11-02&sr=c&sp=r&sig={SIG[:30]}",
    "long signature": f"https://{HOST}/c?sv=2022-11-02&sr=c&sp=r&sig=AAAA{SIG}",
    "a name without a token": f"{HOST} sig={SIG}",
    "a hidden control character": f"https://{HOST}/c?sv=2022-11-02&sr=c&sp=r&si=a%0Ab&sig={SIG}",
    "a cut key": f"AccountName=acct;AccountKey={KEY[:80]}",
    "AWS": f"https://x.s3.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={'58bf0a' * 10}",
    "emulator": f"AccountName=devstoreaccount1;AccountKey={EMULATOR_KEY};BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1",
    "emulator's key elsewhere": f"AccountName=acct;AccountKey={EMULATOR_KEY}",
    "emulator token": f"http://127.0.0.1:10000/devstoreaccount1/c?{TOKEN}",
    "development storage": "UseDevelopmentStorage=true",
}


@pytest.mark.parametrize("name", OTHER_SECRETS)
def test_other_secret_is_not_found(name: str) -> None:
    assert extract(OTHER_SECRETS[name]) == ()


@pytest.mark.parametrize("name", ["emulator", "emulator token"])
def test_emulators_are_found_by_who_asks_for_them(name: str) -> None:
    assert [found.account for found in extract(OTHER_SECRETS[name], emulator=True)] == ["devstoreaccount1"]


def test_lost_padding_is_put_back() -> None:
    assert extract(URL.removesuffix("%3D")) == extract(URL)
