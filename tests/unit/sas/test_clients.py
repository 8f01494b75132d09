"""Tokens as each client writes their values, in whatever a text wraps around them: found once, and read right.

How clients write a value was tried with their published packages: Azure.Storage 12 of .NET form-encodes the response
headers and leaves `si` as it is; azure-storage-blob of Java percent-encodes, and the slash of a name, too; the older
com.microsoft.azure:azure-storage writes `sig` first and an unsigned `sr` into account SAS; Go's url.Values.Encode
sorts the names and form-encodes every value; Terraform's go-azure-helpers form-encodes the headers alone.
"""

import base64
import html
import json
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sas.answers import answer
from tests.support.strings_to_sign import ACCOUNT, HOST, KEYS, signature

HEADERS = ("rscc", "rscd", "rsce", "rscl", "rsct")
LAYOUT = ("sp", "st", "se", "@resource", "si", "sip", "spr", "sv", "sr", "@time", "ses", *HEADERS)


def escaped(text: str) -> str:
    return quote(text, safe="")


def form(text: str) -> str:
    return quote_plus(text, safe="")


def written(parameters: Mapping[str, str], order: str, encoded: Callable[[str, str], str]) -> str:
    names = [name for name in order.split() if name in parameters]
    return "&".join(f"{name}={encoded(name, parameters[name])}" for name in names)


def by_dotnet(parameters: Mapping[str, str]) -> str:
    def encoded(name: str, value: str) -> str:
        return value if name == "si" else form(value) if name in HEADERS else escaped(value)

    return written(parameters, "sv spr st se sip si sr sp rscc rscd rsce rscl rsct sig", encoded)


def by_java(parameters: Mapping[str, str]) -> str:
    order = "sv spr st se sip si sr sp sig rscc rscd rsce rscl rsct"
    return written(parameters, order, lambda _, value: escaped(value))


def by_old_java(parameters: Mapping[str, str]) -> str:
    return written(
        parameters, "sig st se sv si sip spr sp sr rscc rscd rsce rscl rsct", lambda _, value: escaped(value)
    )


def by_go(parameters: Mapping[str, str]) -> str:
    return written(parameters, " ".join(sorted(parameters)), lambda _, value: form(value))


def by_terraform(parameters: Mapping[str, str]) -> str:
    def encoded(name: str, value: str) -> str:
        return form(value) if name in HEADERS or name == "sig" else escaped(value)

    return written(parameters, "sv sr st se sp sip spr si rscc rscd rsce rscl rsct sig", encoded)


CLIENTS = {".NET": by_dotnet, "Java": by_java, "older Java": by_old_java, "Go": by_go, "Terraform": by_terraform}

PATHS: dict[str, Callable[[str], str]] = {
    "escaped": quote,
    "with the slash escaped": escaped,
    "with spaces as they are": lambda path: quote(path, safe="/ äé日"),
}

QUOTED: dict[str, Callable[[str], str]] = {
    "JSON": lambda url: json.dumps({"id": 7, "url": url, "next": None}),
    "JSON of .NET": lambda url: json.dumps({"url": url}).replace("&", "\\u0026").replace("+", "\\u002B"),
    "JSON of PHP": lambda url: json.dumps({"url": url}, ensure_ascii=False).replace("/", "\\/"),
    "YAML": lambda url: f'spec:\n  url: "{url}"\n  size: 3\n',
    "code": lambda url: f'var url = "{url}";\nvar other = 7;\n',
    "XML": lambda url: f'<add key="Url" value="{html.escape(url)}" />\n<add key="Other" value="x" />',
    "environment": lambda url: f'export URL="{url}"\nexport MODE=test\n',
    "literals": lambda url: 'a = ("' + '"\n     "'.join(url[at : at + 70] for at in range(0, len(url), 70)) + '")\n',
}
AROUND: dict[str, Callable[[str], str]] = {
    "nothing": lambda text: text,
    "a log": lambda text: f"2026-11-21T10:00:05Z INFO started\n2026-11-21T10:00:06Z ERROR {text}\n2026-11-21 done\n",
    "JSON": lambda text: json.dumps({"log": text}),
    "base64": lambda text: f"data: {base64.b64encode(text.encode()).decode()}\n",
    "url-safe base64": lambda text: f"state={base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}&x=1",
    "UTF-16 in base64": lambda text: f"powershell -enc {base64.b64encode(text.encode('utf-16-le')).decode()}",
    "UTF-16": lambda text: "\0".join(text) + "\0",
    "MIME": lambda text: base64.encodebytes(text.encode()).decode(),
    "percent-encoding": lambda text: f"https://portal.contoso.example/?payload={quote(text, safe='')}&lang=en",
    "code with accounts": lambda text: f"# see https://fabrikamweb.blob.core.windows.net/img/a.png\n\n{text}\n",
}

names = st.text("abcXYZ019-_. äé日+()", min_size=1, max_size=12).map(str.strip).filter(lambda text: text.strip("./ "))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
policies = st.text("abcXYZ019-_ +", min_size=1, max_size=12).map(str.strip).filter(bool)
headers = st.text("abc;=\"' +%&/é", max_size=15).map(str.strip)


@st.composite
def parameters_of_a_token(draw: st.DrawFn) -> dict[str, str]:
    parameters = {
        "sv": draw(st.sampled_from(["2020-12-06", "2022-11-02", "2026-10-06"])),
        "sr": draw(st.sampled_from(["b", "c"])),
    }
    if draw(st.booleans()):
        parameters |= {"si": draw(policies)}
    else:
        parameters |= {"se": "2031-10-06T00:00:00Z", "sp": "r", "st": "2026-11-01T00:00:00Z", "spr": "https"}
    for name in draw(st.sets(st.sampled_from(HEADERS), max_size=2)):
        if value := draw(headers):
            parameters[name] = value
    return parameters


def signed(parameters: Mapping[str, str], path: str) -> dict[str, str]:
    resource = f"/blob/{ACCOUNT}/models" + (f"/{path}" if parameters["sr"] == "b" else "")
    fields = {**parameters, "@resource": resource}
    return {**parameters, "sig": signature("\n".join(fields.get(name, "") for name in LAYOUT))}


wrappers = st.tuples(*(st.sampled_from(sorted(each)) for each in (CLIENTS, PATHS, QUOTED, AROUND)))


@given(parameters_of_a_token(), paths, wrappers)
def test_token_of_any_client_is_read_right_in_any_wrapper(
    parameters: dict[str, str], path: str, wrapper: tuple[str, str, str, str]
) -> None:
    client, way, quotes, around = wrapper
    token = signed(parameters, path)
    text = AROUND[around](QUOTED[quotes](f"https://{HOST}/models/{PATHS[way](path)}?{CLIENTS[client](token)}"))
    found = answer({"text": text, "keys": {ACCOUNT: KEYS, "fabrikamweb": KEYS}})["credentials"]

    assert isinstance(found, list)
    assert [(each["signed_by"], each["account"]) for each in found] == [("key2", ACCOUNT)], text


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("wrapper", AROUND)
def test_token_beside_its_account_and_container_is_read_right(client: str, wrapper: str) -> None:
    token = CLIENTS[client](signed({"sv": "2022-11-02", "sr": "c", "se": "2031-10-06T00:00:00Z", "sp": "r"}, ""))
    text = AROUND[wrapper](f'account_name = "{ACCOUNT}"\ncontainer_name = "models"\nsas_token = "{token}"\n')
    found = answer({"text": text, "keys": {ACCOUNT: KEYS}})["credentials"]

    assert isinstance(found, list)
    assert [(each["signed_by"], each["container"]) for each in found] == [("key2", "models")]


def test_account_sas_of_the_older_java_client_is_read_right() -> None:
    text = f"{ACCOUNT}\nr\nb\nsco\n\n2031-10-06T00:00:00Z\n\n\n2019-02-02\n"
    token = f"ss=b&sig={escaped(signature(text))}&se=2031-10-06T00%3A00%3A00Z&sv=2019-02-02&srt=sco&sp=r&sr=sco"
    found = answer({"text": f"https://{HOST}/?{token}", "keys": {ACCOUNT: KEYS}})["credentials"]

    assert isinstance(found, list)
    assert [(each["credential"], each["signed_by"]) for each in found] == [("account_sas", "key2")]
