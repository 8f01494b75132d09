"""The texts of the repository, and the phrases of the project's old language that none of them may use.

The first version of Sasquash had a language of its own ("lever", "kill", "proof of death"). Readers did not know it,
so every such phrase has a standard term now. `PHRASES` pairs each phrase, as this product meant it, with that term.
The patterns match whole words in that meaning: they leave alone deadlines, names of app settings (`SASQUASH_DESK`),
signals (`SIGKILL`), `plan.digest`, and the claims of a token.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PHRASES: dict[str, str] = {
    r"levers?": "containment action",
    r"pull(s|ed|ing)?(?! requests?\b)": "run an action; revoke; execution",
    r"kill(s|ed|ing|er)?": "revoke",
    r"dead|die(s|d)?|dying|deaths?": "revoked; no longer accepted",
    r"proofs?": "verification",
    r"arithmetic": "by signature verification",
    r"keys?( is| was)? behind|behind (it|a leak|the leak|the finding|which)": "signed by",
    r"(who|whom|what)( it| this| that)? (breaks|broke|would break)": "impact; affected consumers",
    r"desk": "console",
    r"rooms?|floors?|house('s)?|roads?|walk(s|ed|ing)?": "module; layer; codebase; path",
    r"told|tells|tell of|telling of": "notified; logged; recorded; says",
    r"look(s|ed|ing)?(?! (up|like|the same)\b)": "check; recheck; read",
    r"loose": "unattributed",
    r"hand(s|ed|ing)?( \w+)?[ -]over": "key distribution (Key Vault); enqueue (a record)",
    r"passing failures?": "transient failure",
    r"claimed|claims? (it|its|a|an|the) ?(step|record|finding)?|step claims?": "step lease",
    r"(a|one|each|per|this|its|every|same) turns?": "batch",
    r"rests|account rest(ed|ing)?|rest(ed|ing)? (for|until|between)": "cools down",
    r"untidy|small (report|token|leak)s?": "incomplete report; low-privilege token",
    r"whoever|whomever|whosoever": "responders; operators; the one who",
    r"takes a person": "requires approval",
    r"(?<!Functions\s)(?<!Python\s)(?<!-)workers?": "the app; an instance",
    r"(one|a|the) digest (instead|mail)|digest mails?|mail digest": "summary mail",
    r"innocent|hung on|hangs on|what a \w+ hangs": "that did not leak; signed by",
    r"good (access )?tokens?": "valid token",
    r"fore(saw|see|sees|seen)|unforeseen": "unexpected",
    r"mend(s|ed|ing)?": "fixed",
    r"looked after|looks after": "monitored",
}
"""Pattern of a phrase → what to say instead."""

STAYS: dict[str, str] = {
    r"(?i:dead[-_ ]?letter\w*)": "Event Grid's own term",
    r"/desk\b|(?<=['\"])desk/|\Adesk/": "a route",
    r"(?<=[`'\"=])loose(?=[`'\"])|\bLOOSE\b|\Aloose\Z|(?m:^\s*(?:- loose$|loose: ))": (
        "the stored value of a reason; people read 'unattributed'"
    ),
    r"\bProof Key for Code Exchange\b": "OAuth's own term",
    r"\b(look_again|look_at_accounts|send_digest|serve_desk)\b": "function names, which app settings refer to",
    r"/pulls/|(?<=\|)pulls(?=\))|\bpull_request_\w+|\bpull_requests\b|_PULL_REQUESTS": "GitHub's own term",
    r"\bWORKERS\b": "a variable of the Makefile: the processes of pytest-xdist",
    r"`(lever|pull|proof|told)`(?=\s+(is now\s+)?`)": "a field that was renamed, where the changelog says so",
}
"""Pattern of what keeps an old word → why."""

ELSEWHERE: dict[str, tuple[str, tuple[str, ...]]] = {
    r"kill(s|ed|ing)?|die(s|d)?": (
        "processes that get SIGKILL",
        (
            "local/child_processes.py",
            "local/cloud/",
            "local/storage/azurite.py",
            "tests/chaos/",
            "tests/local/cloud/",
            "tests/local/test_child_processes.py",
            "tests/simulation/",
        ),
    ),
}
"""Pattern of a phrase → why it has another meaning in some files, and their paths."""

VENDORED = {"shared/api/console/msal-browser.min.js"}

_PHRASES = [
    (re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE), say) for pattern, say in PHRASES.items()
]
_ANY = re.compile("|".join(pattern.pattern for pattern, _ in _PHRASES), re.IGNORECASE)
_STAYS = re.compile("|".join(f"(?:{pattern})" for pattern in STAYS))
_ELSEWHERE = [(re.compile(pattern, re.IGNORECASE), paths) for pattern, (_, paths) in ELSEWHERE.items()]
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")


@dataclass(frozen=True, slots=True, order=True)
class Text:
    """A piece of text of a file, with the line that it starts on and what it is: text, docstring, comment or name."""

    path: str
    line: int
    content: str
    kind: str


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """A phrase that is found in a text."""

    path: str
    line: int
    kind: str
    phrase: str
    say: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind} says {self.phrase!r}; say {self.say!r}"


def hits(texts: Iterable[Text]) -> list[Hit]:
    """The phrases in texts, by path and line, without what `STAYS` names."""
    return sorted({hit for text in texts for hit in _hits(text)})


def _hits(text: Text) -> Iterator[Hit]:
    content = _STAYS.sub(lambda stays: "~" * len(stays.group()), text.content)
    if text.kind == "name":
        content = _HUMPS.sub(" ", content)
    if not _ANY.search(content):
        return
    for pattern, say in _PHRASES:
        for found in pattern.finditer(content):
            phrase = " ".join(found.group().split())
            if any(text.path.startswith(paths) and meant.fullmatch(phrase) for meant, paths in _ELSEWHERE):
                continue
            line = text.line + content.count("\n", 0, found.start())
            yield Hit(text.path, line, text.kind, phrase, say)


def texts_of(*patterns: str) -> Iterator[Text]:
    """The texts of the files that glob patterns match: of Python modules by kind, of other files as a whole."""
    for file in sorted({file for pattern in patterns for file in ROOT.glob(pattern) if file.is_file()}):
        path = str(file.relative_to(ROOT))
        if path in VENDORED:
            continue
        if file.suffix == ".py":
            yield from texts_of_python(path, file.read_text())
        else:
            yield Text(path, 1, file.read_text(), "text")


def texts_of_python(path: str, source: str) -> Iterator[Text]:
    """The string literals ("text"), docstrings, comments and defined names of a module."""
    tree = ast.parse(source)
    docstrings = {id(node) for node in _docstrings(tree)}
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        id(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield Text(path, node.lineno, _literal(node), "text")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield Text(path, node.lineno, node.value, "docstring" if id(node) in docstrings else "text")
        else:
            yield from (Text(path, line, name, "name") for line, name in _names(node))
    yield from _comments(path, source)


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Strings that stand alone as a statement: docstrings, those of attributes included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _literal(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _names(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.lineno, node.name
    elif isinstance(node, ast.arg):
        yield node.lineno, node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.lineno, node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield node.lineno, node.attr


def _comments(path: str, source: str) -> Iterator[Text]:
    """Comments; those on successive lines are one text."""
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last + 1:
            yield Text(path, first, "\n".join(block), "comment")
            block = []
        if not block:
            first = token.start[0]
        block.append(token.string.lstrip("# "))
        last = token.start[0]
    if block:
        yield Text(path, first, "\n".join(block), "comment")


def names_of_files(*folders: str) -> Iterator[Text]:
    """The paths of files below folders, as names."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                path = str(Path(file).relative_to(ROOT))
                yield Text(path, 0, Path(path).stem.replace("-", "_"), "name")
