"""The repository uses standard terms, not those of the project's first version (tests/support/phrases.py)."""

import pytest

from tests.support.phrases import PHRASES, STAYS, Text, hits, names_of_files, texts_of, texts_of_python

USER_FACING = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/**/*.md",
    "docs/openapi.yaml",
    "infra/**/*",
    "scripts/*",
    ".github/**/*",
    ".devcontainer/*",
    ".pre-commit-config.yaml",
    "Makefile",
    "azure.yaml",
    "local.settings.json.example",
    "pyproject.toml",
    "shared/api/console/*.html",
    "shared/api/console/*.css",
    "shared/api/console/*.js",
)
CODE = ("shared/**/*.py", "function_app.py", "local/**/*.py", "bench/**/*.py", "conformance/**/*.py", "tests/**/*.py")
ABOUT_THE_PHRASES = {"tests/support/phrases.py", "tests/contract/test_language.py"}

EXAMPLES = {
    "Pulls the lever": ["Pulls", "lever"],
    "a dead letter before the deadline": [],
    "The credential is dead, by arithmetic.": ["dead", "arithmetic"],
    "which key is behind\nthe leak": ["key is behind"],
    "open a pull request": [],
    "Open the desk at /api/desk": ["desk"],
    "the reason `loose`": [],
    "a loose token": ["loose"],
    "claims of a token": [],
    "the Functions worker": [],
    "another worker": ["worker"],
    "It is told, and looked at again; look up the account.": ["told", "looked"],
}


@pytest.mark.parametrize(("text", "phrases"), EXAMPLES.items())
def test_phrase_is_found_where_it_has_the_old_meaning(text: str, phrases: list[str]) -> None:
    assert sorted(hit.phrase for hit in hits([Text("page.md", 1, text, "text")])) == sorted(phrases)


def test_every_text_of_a_module_is_read() -> None:
    lines = (
        '"""A lever."""',
        "# Killed",
        "# and dead.",
        "def hand_over(desk, look_again):",
        '    raise E(f"{desk} is told" " it")',
    )
    source = "\n".join(lines)

    found = {(hit.line, hit.kind, hit.phrase) for hit in hits(texts_of_python("module.py", source))}

    assert found == {
        (1, "docstring", "lever"),
        (2, "comment", "Killed"),
        (3, "comment", "dead"),
        (4, "name", "hand over"),
        (4, "name", "desk"),
        (5, "text", "told"),
    }


def test_user_facing_text_uses_standard_terms() -> None:
    assert [str(hit) for hit in hits(texts_of(*USER_FACING))] == []


def test_code_uses_standard_terms() -> None:
    texts = [text for text in texts_of(*CODE) if text.path not in ABOUT_THE_PHRASES]

    assert [str(hit) for hit in hits(texts)] == []


def test_names_of_files_use_standard_terms() -> None:
    assert [
        str(hit) for hit in hits(names_of_files("shared", "local", "bench", "conformance", "tests", "docs"))
    ] == []


def test_every_exception_says_why() -> None:
    assert all(PHRASES.values())
    assert all(STAYS.values())
