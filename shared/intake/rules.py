"""`python -m shared.intake rules SCANNER`: the configuration with which a scanner finds what Sasquash revokes.

Formats: gitleaks, README "Configuration" (github.com/gitleaks/gitleaks, v8.30.1); betterleaks, what
`betterleaks config show toml` prints (github.com/betterleaks/betterleaks, v2.0.0-rc.4); TruffleHog,
pkg/custom_detectors/CUSTOM_DETECTORS.md (github.com/trufflesecurity/trufflehog, v3.97.0).
"""

import argparse
import json
from collections.abc import Callable, Sequence

from shared.intake.patterns import DESCRIPTION, KEYWORDS, NAME, REGEX

COMMAND = "rules"

# Their hashes are 64 bytes in base64, like a key, beside names of packages such as Azure.Storage.Blobs.
_FILES_OF_HASHES = r"(?:^|/)(?:packages\.lock\.json|project\.assets\.json|[^/]+\.(?:deps\.json|nupkg\.metadata))$"

_RULE = f"""\
[[rules]]
id = "{NAME}"
description = "{DESCRIPTION}"
regex = '''{REGEX}'''
keywords = {json.dumps(KEYWORDS)}
"""
_HEAD = """\
# Finds Azure Storage credentials with what stands around them. Created by: python -m shared.intake rules
# To use it beside the built-in rules, add a table [extend] with useDefault = true.
title = "Sasquash"
"""


def gitleaks() -> str:
    """Return a configuration of gitleaks, in TOML."""
    return f"""\
{_HEAD}
{_RULE}
[[rules.allowlists]]
description = "hashes of NuGet packages"
paths = ['''{_FILES_OF_HASHES}''']
"""


def betterleaks() -> str:
    """Return a configuration of betterleaks, in TOML. It refuses gitleaks' lists of exceptions, and has filters."""
    return f"""\
{_HEAD}prefilter = '''
matchesAny(attributes["path"], [
  `{_FILES_OF_HASHES}`
])
'''

{_RULE}"""


def trufflehog() -> str:
    """Return a configuration of TruffleHog, in YAML."""
    return f"""\
# Finds Azure Storage credentials with what stands around them. Created by: python -m shared.intake rules
detectors:
  - name: {NAME}
    description: {DESCRIPTION}
    keywords: {json.dumps(KEYWORDS)}
    regex:
      credential: {json.dumps(REGEX)}
"""


RENDERERS: dict[str, Callable[[], str]] = {"betterleaks": betterleaks, "gitleaks": gitleaks, "trufflehog": trufflehog}
"""By the name of the scanner, as in a source's name."""


def main(arguments: Sequence[str]) -> int:
    """Print the rules for the scanner that `arguments` name; return the exit code."""
    parser = argparse.ArgumentParser(
        prog=f"python -m shared.intake {COMMAND}", description="Print rules that find Azure Storage credentials."
    )
    parser.add_argument("scanner", choices=sorted(RENDERERS), help="the scanner that is to read them")
    print(RENDERERS[parser.parse_args(arguments).scanner](), end="")
    return 0
