"""The parameters of a token, in one run, over spaces, and one by one."""

import pytest

from shared.sas import extract
from tests.support.strings_to_sign import ACCOUNT, HOST, container_url, only, query, signature

URL = container_url()
PAIRS = [pair.split("=") for pair in URL.partition("?")[2].replace("%3A", ":").split("&")]
RAW = dict(PAIRS) | {"sig": URL.partition("sig=")[2].replace("%2F", "/").replace("%2B", "+").replace("%3D", "=")}
FULL = {"sv": "2022-11-02", "se": "2030-01-01T00:00:00Z", "sp": "r", "sr": "c"} | {"sig": RAW["sig"]}


def each(form: str, between: str) -> str:
    return between.join(form.format(name=name, value=value) for name, value in FULL.items())


@pytest.mark.parametrize(
    "text",
    [
        f"curl -G 'https://{HOST}/models' " + each("--data-urlencode '{name}={value}'", " \\\n  "),
        f"http GET 'https://{HOST}/models' " + each("'{name}=={value}'", " "),
        f'HttpUrl.get("https://{HOST}/models")\n' + each('  .addQueryParameter("{name}", "{value}")', "\n"),
        f"https://{HOST}/models map[" + each("{name}:[{value}]", " ") + "]",
        f'{{"url": "https://{HOST}/models", ' + each('"{name}": "{value}"', ", ") + "}",
        f"url: https://{HOST}/models\nsas:\n" + each("  {name}: {value}", "\n") + "\n",
        f'sb.append("https://{HOST}/models?");\n' + each('sb.append("&{name}={value}");', "\n"),
        f"GET https://{HOST}/models\n    ?" + each("{name}={value}", "\n    &") + "\nAccept: */*\n",
        f'concat!(\n  "https://{HOST}/models?",\n  "' + each("{name}={value}", '",\n  "&') + '",\n)',
    ],
)
def test_parameters_one_by_one_are_one_token(text: str) -> None:
    found = only(text)

    assert (found.host, found.container, found.permissions) == (HOST, "models", "r")
    assert found.signature_sha256 == only(URL).signature_sha256


def test_parameters_of_two_tokens_one_by_one_are_two_tokens() -> None:
    other = each('"{name}": "{value}"', ", ").replace(FULL["sig"], signature("y"))
    text = f"https://{HOST}/models [{{" + each('"{name}": "{value}"', ", ") + "}, {" + other + "}]"

    assert len(extract(text)) == 2


def test_parameters_that_stand_far_apart_are_no_token() -> None:
    assert extract(f"https://{HOST}/models sv: 2022-11-02 sr: c {'x ' * 300} sig: {FULL['sig']}") == ()


def test_quoted_parameter_without_its_end_goes_to_the_next_space() -> None:
    text = f"https://{HOST}/models 'sv==2022-11-02' 'sr==c' 'sp==r' 'sig=={FULL['sig']}"

    assert only(text).permissions == "r"


SIG = query({}, signature("x"))


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (f"https://{HOST}/models?sv=2022-11-02&si=policy 1&sr=c&{SIG}", "policy 1"),
        (f"'si=policy 1&sv=2022-11-02&sr=c&{SIG}'", "policy 1"),
        (f'"https://{HOST}/models?sv=2022-11-02&sr=c&{SIG}&si=policy 1"', "policy 1"),
        (f"see https://{HOST}/models?sv=2022-11-02&sr=c&{SIG}&si=policy 1", "policy"),
        (f"https://{HOST}/models?si=policy+1&{SIG}&sr=c&sv=2022-11-02", "policy 1"),
        (f"https://{HOST}/models?sv=2022-11-02&si=policy+1&sr=c&{SIG}", "policy+1"),
    ],
)
def test_spaces_in_a_policys_name(text: str, policy: str) -> None:
    assert only(f"account: {ACCOUNT}\n{text}").policy == policy


def test_path_with_spaces_in_quotes_belongs_to_the_token() -> None:
    token = f"sv=2022-11-02&sr=b&sp=r&{SIG}"

    assert only(f'"https://{HOST}/models/a b/é%2B.txt?{token}"').resource_path == "a b/é+.txt"


def test_path_with_spaces_in_prose_is_another_reading() -> None:
    token = f"sv=2022-11-02&sr=b&sp=r&{SIG}"

    assert extract(f"the folder https://{HOST}/models/ has a b.txt?{token}")


def test_value_with_many_spaces_is_read_as_far_as_it_is_bounded() -> None:
    assert extract(f"&si={'a &si=' * 40} b&{SIG}&sv=2022-11-02&sr=c") != ()
