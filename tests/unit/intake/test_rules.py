"""`python -m shared.intake rules`: what it prints. tests/tools/test_scanners.py lets scanners read it."""

import re
import tomllib

import pytest
import yaml

from shared.intake import __main__ as command
from shared.intake.patterns import KEYWORDS, REGEX


def printed(scanner: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert command.main(["rules", scanner]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("scanner", ["gitleaks", "betterleaks"])
def test_rule_is_toml_with_the_pattern_and_its_keywords(scanner: str, capsys: pytest.CaptureFixture[str]) -> None:
    [rule] = tomllib.loads(printed(scanner, capsys))["rules"]

    assert (rule["regex"], rule["keywords"]) == (REGEX, list(KEYWORDS))


def test_detector_is_yaml_with_the_pattern_and_its_keywords(capsys: pytest.CaptureFixture[str]) -> None:
    [detector] = yaml.safe_load(printed("trufflehog", capsys))["detectors"]

    assert (detector["regex"], detector["keywords"]) == ({"credential": REGEX}, list(KEYWORDS))


def test_files_of_package_hashes_are_left_out_and_others_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    [rule] = tomllib.loads(printed("gitleaks", capsys))["rules"]
    [path] = rule["allowlists"][0]["paths"]

    assert f"`{path}`" in tomllib.loads(printed("betterleaks", capsys))["prefilter"]
    for file in ("packages.lock.json", "src/obj/project.assets.json", "out/Contoso.deps.json"):
        assert re.search(path, file)
    for file in ("appsettings.json", "packages.lock.json/key.txt", "my-packages.lock.json.bak"):
        assert not re.search(path, file)


def test_rules_need_no_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("SASQUASH_TOPIC_ENDPOINT", raising=False)

    assert printed("gitleaks", capsys).startswith("# Finds Azure Storage credentials")


@pytest.mark.parametrize("arguments", [["rules"], ["rules", "trivy"], ["rules", "gitleaks", "more"]])
def test_rules_of_an_unknown_scanner_are_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)

    assert stopped.value.code == 2
