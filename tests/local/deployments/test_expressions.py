"""Expressions of templates. Source: learn.microsoft.com, "Syntax and expressions in ARM templates"."""

from typing import Any

import pytest

from local.deployments.expressions import TemplateError, evaluated
from local.deployments.functions import pure, with_lambdas

FUNCTIONS = with_lambdas(pure())


def value(expression: Any) -> Any:
    return evaluated(expression, FUNCTIONS)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[concat('a', 'it''s')]", "ait's"),
        ("[[not('an expression')]", "[not('an expression')]"),
        ("plain", "plain"),
        ("[createObject('A', createArray(1, 2)).a[1]]", 2),
        ("[if(equals(1, 1), 'yes', fail('no'))]", "yes"),
        ("[format('{0}-{1}', 'a', 2)]", "a-2"),
        ("[coalesce(tryGet(createObject('a', 1), 'b'), 'none')]", "none"),
        ("[map(split('a, b', ','), lambda('x', trim(lambdaVariables('x'))))]", ["a", "b"]),
        ("[toObject(createArray('a=1'), lambda('t', first(split(lambdaVariables('t'), '='))), lambda('t', '1'))]",
         {"a": "1"}),
        ("[items(createObject('b', 2, 'a', 1))]", [{"key": "a", "value": 1}, {"key": "b", "value": 2}]),
        ("[union(createObject('a', createObject('x', 1)), createObject('a', createObject('y', 2)))]",
         {"a": {"x": 1, "y": 2}}),
        ("[substring('name=value', add(indexOf('name=value', '='), 1))]", "value"),
        ("[base64ToString('W10=')]", "[]"),
        ("[empty('')]", True),
        ("[and(lessOrEquals(int('700'), 700), not(less(2, 2)))]", True),
    ],
)  # fmt: skip
def test_expression_has_the_documented_value(expression: str, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    "expression",
    ["[nonsense()]", "[concat('a']", "[concat('a') 'b']", "[createObject('a', 1).b]", "[createArray(1)[1]]",
     "[fail('x')]", "[substring('ab', 3)]", "[base64ToString('?')]", "[lambdaVariables('x')]",
     "[int('many')]"],
)  # fmt: skip
def test_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(TemplateError):
        value(expression)


def test_unique_string_has_the_form_of_azure_and_depends_on_every_part() -> None:
    first, again, other = (value(f"[uniqueString('a', '{part}')]") for part in "bbc")

    assert (first == again, first == other) == (True, False)
    assert (len(first), first == first.lower(), first.isalnum()) == (13, True, True)
