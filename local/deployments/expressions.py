"""The expressions of ARM templates, such as "[format('st{0}', parameters('name'))]": their grammar.

Source: learn.microsoft.com, "Syntax and expressions in ARM templates". Strings are in single quotes, which are
doubled inside; a text that starts with "[[" is no expression. What functions return is in `functions`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[()\[\],.]))")


class TemplateError(Exception):
    """The template, or a value that it computes, is invalid. The message says what."""


@dataclass(frozen=True)
class Literal:
    """A string or a number."""

    value: Any

    def evaluate(self, _: "Functions") -> Any:
        return self.value


@dataclass(frozen=True)
class Call:
    """A function with its arguments, which it evaluates as far as it needs them."""

    name: str
    arguments: tuple["Expression", ...]

    def evaluate(self, functions: "Functions") -> Any:
        function = functions.get(self.name.lower())
        if function is None:
            raise TemplateError(f"The template function '{self.name}' is not valid.")
        return function(*(lambda each=each: each.evaluate(functions) for each in self.arguments))


@dataclass(frozen=True)
class Member:
    """`of.name` or `of[name]`. Names of an object's members are case-insensitive."""

    of: "Expression"
    name: "Expression"

    def evaluate(self, functions: "Functions") -> Any:
        return member(self.of.evaluate(functions), self.name.evaluate(functions))


type Expression = Literal | Call | Member
type Lazy = Callable[[], Any]
type Functions = Mapping[str, Callable[..., Any]]
"""By name in lower case. A function gets its arguments unevaluated: `if` evaluates two of three."""


def member(of: Any, name: Any) -> Any:
    """Return a member of an object or an array. Raises TemplateError."""
    if isinstance(of, list) and isinstance(name, int) and 0 <= name < len(of):
        return of[name]
    if isinstance(of, dict):
        found = [key for key in of if key.lower() == str(name).lower()]
        if found:
            return of[found[0]]
        raise TemplateError(f"The property '{name}' doesn't exist, available properties are '{', '.join(of)}'.")
    raise TemplateError(f"The index '{name}' of the template language expression is out of bounds, or no index.")


def is_expression(value: Any) -> bool:
    """Return whether a value of a template is to be evaluated."""
    return isinstance(value, str) and value.startswith("[") and value.endswith("]") and not value.startswith("[[")


def evaluated(value: Any, functions: Functions) -> Any:
    """Return a value of a template with every expression in it evaluated. Raises TemplateError."""
    if is_expression(value):
        return parse(value[1:-1]).evaluate(functions)
    if isinstance(value, str):
        return value[1:] if value.startswith("[[") else value
    if isinstance(value, list):
        return [evaluated(item, functions) for item in value]
    if isinstance(value, dict):
        return {evaluated(key, functions): evaluated(item, functions) for key, item in value.items()}
    return value


def parse(text: str) -> Expression:
    """Parse what is between the brackets. Raises TemplateError."""
    parser = _Parser(text)
    expression = parser.expression()
    if parser.kind is not None:
        raise TemplateError(f"The language expression '{text}' is not valid: it goes on after its end.")
    return expression


class _Parser:
    """Reads one expression from left to right. `kind` and `value` are of the next token; None at the end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.kind: str | None = None
        self.value = ""
        self._advance()

    def _advance(self) -> str:
        before = self.value
        match = _TOKEN.match(self._text, self._at)
        if match is None and self._text[self._at :].strip():
            raise TemplateError(f"Unable to parse the language expression '{self._text}' at {self._at}.")
        self.kind, self.value = (match.lastgroup, match[match.lastgroup or 0]) if match else (None, "")
        self._at = match.end() if match else len(self._text)
        return before

    def _expect(self, mark: str) -> None:
        if self.value != mark:
            raise TemplateError(f"Expected '{mark}' in the language expression '{self._text}'.")
        self._advance()

    def expression(self) -> Expression:
        if self.kind == "text":
            return Literal(self._advance()[1:-1].replace("''", "'"))
        if self.kind == "number":
            return Literal(int(self._advance()))
        if self.kind != "name":
            raise TemplateError(f"Expected a function in the language expression '{self._text}'.")
        name = self._advance()
        self._expect("(")
        arguments: list[Expression] = []
        while self.value != ")":
            arguments.append(self.expression())
            if self.value != ")":
                self._expect(",")
        self._expect(")")
        return self._members(Call(name, tuple(arguments)))

    def _members(self, of: Expression) -> Expression:
        while self.kind == "mark" and self.value in (".", "["):
            if self._advance() == ".":
                of = Member(of, Literal(self._advance()))
            else:
                of = Member(of, self.expression())
                self._expect("]")
        return of
