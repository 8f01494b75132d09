"""Route templates: matching, precedence, and unsupported templates."""

import pytest

from local.host import routes
from local.host.configuration import StartError

GUID = "0b8f5a3e-8a52-4c30-9d9b-0f9d8f1c2a11"


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("api/things", "/api/things", {}),
        ("api/things", "/API/Things/", {}),
        ("api/{id}", "/api/a b", {"id": "a b"}),
        ("api/{id}", "/api/a%2fb", {"id": "a%2fb"}),
        ("api/{id}", "/api", None),
        ("api/{id}", "/api/a/b", None),
        ("api/{id?}", "/api", {}),
        ("api/{id:int?}", "/api/5", {"id": "5"}),
        ("api/{*rest}", "/api/a/b", {"rest": "a/b"}),
        ("api/{id:int}", "/api/-5", {"id": "-5"}),
        ("api/{id:int}", "/api/2147483648", None),
        ("api/{id:long}", "/api/2147483648", {"id": "2147483648"}),
        ("api/{id:guid}", f"/api/{GUID}", {"id": GUID}),
        ("api/{id:guid}", "/api/5", None),
        ("api/{id:bool}", "/api/TRUE", {"id": "TRUE"}),
        ("api/{id:alpha}", "/api/a1", None),
        ("api/{id:length(2)}", "/api/ab", {"id": "ab"}),
        ("api/{id:length(2,3)}", "/api/abcd", None),
        ("api/{id:alpha:minlength(3)}", "/api/ab", None),
        ("api/{id:maxlength(3)}", "/api/abcd", None),
        ("api/{id:range(1,5)}", "/api/6", None),
        ("api/{id:min(5)}", "/api/4", None),
        ("api/{id:max(5)}", "/api/5", {"id": "5"}),
    ],
)
def test_template_matches(template: str, path: str, parameters: dict[str, str] | None) -> None:
    assert routes.parse(template, function="f").match(path) == parameters


def test_most_specific_route_wins() -> None:
    templates = ["a/{*rest}", "a/{id}", "a/{id:int}", "a/b"]
    ranked = sorted(templates, key=lambda template: routes.parse(template, function="f").rank)
    assert ranked == ["a/b", "a/{id:int}", "a/{id}", "a/{*rest}"]


@pytest.mark.parametrize(
    "template", ["a/{id:regex(^a$)}", "a/{id:float}", "a/{id=5}", "a/x-{id}", "a/{id?}/b", "{*all}/b"]
)
def test_unsupported_feature_is_refused(template: str) -> None:
    with pytest.raises(StartError, match="function f: "):
        routes.parse(template, function="f")
