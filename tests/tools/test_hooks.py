"""azd's hooks under both shells, with an `az` that answers what a test says. azd itself runs them in test_azd.py."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.paths import ROOT

OWNER = '{"value": [{"actions": ["*"], "notActions": []}]}'
# learn.microsoft.com, "Azure built-in roles": Contributor, Role Based Access Control Administrator.
CONTRIBUTOR = '{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Write"]}'
RBAC_ADMINISTRATOR = '{"actions": ["Microsoft.Authorization/roleAssignments/write", "*/read"], "notActions": []}'
FIRST, SECOND = "11111111-aaaa-4aaa-8aaa-111111111111", "22222222-bbbb-4bbb-8bbb-222222222222"
DEPLOYED = {
    "AZURE_ENV_NAME": "prod",
    "AZURE_RESOURCE_GROUP": "rg-sasquash-prod",
    "SASQUASH_TOPIC_NAME": "egt",
    "SASQUASH_RESPONDER_NAME": "func",
    "SASQUASH_STORAGE_NAME": "stsq",
    "SASQUASH_RESPONDER_PRINCIPAL_ID": "principal-id",
    "SASQUASH_RESPONDER_CLIENT_ID": "client-id",
    "SASQUASH_SECURITY_MAILBOX": "security@contoso.com",
    "SASQUASH_API": "https://func.azurewebsites.net/api",
    "SASQUASH_INTAKE": "https://func.azurewebsites.net/api/intake",
}
AZ = """#!/usr/bin/env python3
import json, pathlib, sys
given = " ".join(sys.argv[1:])
folder = pathlib.Path(__file__).parent
with (folder / "calls").open("a") as log: log.write(given + "\\n")
for part, code, text in json.loads((folder / "answers.json").read_text()):
    if part in given:
        print(text, file=sys.stderr if code else sys.stdout)
        sys.exit(code)
"""


@dataclass
class Hooks:
    """The hooks of one shell, with programs of the test. An answer of `az`: part of the call, exit code, text."""

    shell: str
    folder: Path
    answers: list[tuple[str, int, str]] = field(default_factory=list)

    def run(self, name: str, variables: Mapping[str, str]) -> tuple[int, str]:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        script = ROOT / f"scripts/hooks/{name}.{'sh' if self.shell == 'sh' else 'ps1'}"
        command = [script] if self.shell == "sh" else ["pwsh", "-NoProfile", "-NonInteractive", "-File", script]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={
                "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.folder),
                "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
                "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
                "AZURE_SUBSCRIPTION_ID": FIRST,
                "AZURE_LOCATION": "West Europe",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def calls(self) -> str:
        return (self.folder / "calls").read_text()

    def permissions(self, subscription: str, roles: str) -> None:
        """What `az rest` answers about the signed-in person's roles: for bash, as its query makes them."""
        text = roles
        if self.shell == "sh":
            read = json.loads(roles)["value"]
            text = "\n".join(f"{' '.join(role['actions'])}|{' '.join(role['notActions'])}" for role in read)
        self.answers.insert(
            0, (f"/subscriptions/{subscription}/providers/Microsoft.Authorization/permissions", 0, text)
        )


@pytest.fixture(params=["sh", "pwsh"])
def hooks(request: pytest.FixtureRequest, tmp_path: Path) -> Hooks:
    if request.param == "pwsh" and shutil.which("pwsh") is None:
        pytest.skip("pwsh is not on the PATH")
    return prepared(request.param, tmp_path)


@pytest.fixture
def bash(tmp_path: Path) -> Hooks:
    return prepared("sh", tmp_path)


def prepared(shell: str, folder: Path) -> Hooks:
    (folder / "az").write_text(AZ)
    (folder / "az").chmod(0o755)
    made = Hooks(shell, folder)
    version = "2.91.0" if shell == "sh" else '{"azure-cli": "2.91.0"}'
    made.answers += [
        ("version ", 0, version),
        ("account show", 0, "dev@contoso.com"),
        ("storage sku list", 0, "Standard_LRS\nStandard_ZRS"),
    ]
    made.permissions(FIRST, OWNER)
    return made


# preprovision


def test_owner_of_a_region_with_zones_is_let_through(hooks: Hooks) -> None:
    assert hooks.run("preprovision", {}) == (0, "")


def test_missing_rights_on_each_subscription_are_in_one_message(hooks: Hooks) -> None:
    """Contributor may assign nothing; with Role Based Access Control Administrator it still may create no role."""
    hooks.permissions(FIRST, f'{{"value": [{CONTRIBUTOR}]}}')
    hooks.permissions(SECOND, f'{{"value": [{CONTRIBUTOR}, {RBAC_ADMINISTRATOR}]}}')
    code, said = hooks.run("preprovision", {"SASQUASH_SUBSCRIPTIONS": f"{FIRST}, {SECOND}"})

    assert code == 1
    assert f"dev@contoso.com lacks on subscription {FIRST}: Microsoft.Authorization/roleAssignments/write." in said
    assert f"dev@contoso.com lacks on subscription {SECOND}: Microsoft.Authorization/roleDefinitions/write." in said


def test_monitored_subscriptions_are_not_checked_where_somebody_else_grants_the_rights(hooks: Hooks) -> None:
    hooks.permissions(SECOND, '{"value": []}')

    code, _ = hooks.run("preprovision", {"SASQUASH_SUBSCRIPTIONS": SECOND, "SASQUASH_GRANT_RIGHTS": "false"})

    assert code == 0


def test_every_problem_is_named_at_once(hooks: Hooks) -> None:
    version = "2.9.1" if hooks.shell == "sh" else '{"azure-cli": "2.9.1"}'
    hooks.answers.insert(0, ("version ", 0, version))
    hooks.answers.insert(0, ("storage sku list", 0, "Standard_LRS"))
    hooks.permissions(FIRST, '{"value": []}')
    code, said = hooks.run("preprovision", {})

    assert code == 1
    assert "Update the Azure CLI to 2.37.0 or newer (it is 2.9.1)" in said
    assert "Microsoft.Resources/deployments/write" in said
    assert "azd env set SASQUASH_STORAGE_REDUNDANCY Standard_LRS" in said


def test_azure_cli_that_is_not_signed_in_is_named(hooks: Hooks) -> None:
    hooks.answers.insert(0, ("account show", 1, "Please run 'az login' to setup account."))
    code, said = hooks.run("preprovision", {})

    assert code == 1
    assert f"Sign the Azure CLI in to subscription {FIRST}: az login" in said


# postprovision


def test_steps_that_are_left_are_printed_with_their_commands(hooks: Hooks) -> None:
    code, said = hooks.run("postprovision", DEPLOYED)

    assert code == 0
    assert "scripts/create-registration.sh prod" in said
    assert (
        "since the responder has no right in Graph: SASQUASH_RESPONDER_PRINCIPAL_ID=principal-id scripts/grant"
        in said
    )
    assert "-ClientId client-id -PrincipalId principal-id -Mailbox security@contoso.com" in said


def test_steps_that_are_done_are_not_printed(hooks: Hooks) -> None:
    hooks.answers[:0] = [("appRoleAssign", 0, "some-id"), ("ad sp show", 0, "sp-id")]
    code, said = hooks.run("postprovision", {**DEPLOYED, "SASQUASH_API_CLIENT_ID": "registration-id"})

    assert (code, said.count("\n- ")) == (0, 1)
    assert "grant-exchange.ps1" in said


def test_person_who_may_not_read_the_directory_gets_every_step(hooks: Hooks) -> None:
    hooks.answers[:0] = [("appRoleAssign", 1, "Forbidden"), ("ad sp show", 1, "Forbidden")]
    code, said = hooks.run("postprovision", {**DEPLOYED, "SASQUASH_API_CLIENT_ID": "registration-id"})

    assert (code, said.count("unless it is done")) == (0, 3)


def test_preview_of_a_new_environment_prints_nothing(hooks: Hooks) -> None:
    assert hooks.run("postprovision", {"AZURE_ENV_NAME": "prod"}) == (0, "")


# postdeploy


def test_refused_event_subscription_fails_the_deployment(hooks: Hooks) -> None:
    hooks.answers.insert(0, ("deployment group create", 3, "Destination endpoint not found."))
    code, said = hooks.run("postdeploy", DEPLOYED)

    assert code == 3
    assert "Destination endpoint not found." in said
    assert "Console" not in said


def curl(bash: Hooks, body: str) -> None:
    """Put a program `curl` on the PATH that notes its arguments; `body` is what it does."""
    program = bash.folder / "curl"
    program.write_text(f'#!/bin/sh\necho "curl $*" >> {bash.folder}/calls\n{body}\n')
    program.chmod(0o755)


def test_app_that_is_not_healthy_is_named_and_fails_nothing(bash: Hooks) -> None:
    curl(bash, "exit 22")
    code, said = bash.run(
        "postdeploy", {**DEPLOYED, "SASQUASH_INTAKE": "https://func-in.azurewebsites.net/api/intake"}
    )

    assert code == 0
    assert "Responder: NOT HEALTHY (https://func.azurewebsites.net/api/health)" in said
    assert "Intake: NOT HEALTHY (https://func-in.azurewebsites.net/api/health)" in said


def test_readiness_is_read_with_a_token_that_no_command_line_has(bash: Hooks) -> None:
    answer = '{"accounts":[{"ready":true},{"ready":false}],"drills":[{"outcome":"passed"},{"outcome":"failed"}]}'
    curl(bash, f"case \"$*\" in *readiness*) grep -q 'Bearer secret-token' && echo '{answer}' ;; esac")
    bash.answers.insert(0, ("account get-access-token", 0, "secret-token"))
    code, said = bash.run("postdeploy", {**DEPLOYED, "SASQUASH_API_CLIENT_ID": "registration-id"})

    assert code == 0
    assert "Readiness: 1 accounts ready, 1 not; latest drill: passed." in said
    assert "secret-token" not in said + bash.calls()


def test_address_of_the_console_is_added_beside_those_that_are_there(hooks: Hooks) -> None:
    if hooks.shell == "sh":
        curl(hooks, "exit 0")
        known = "applications(appId='registration-id')?$select=spa"
    else:
        known = "spa.redirectUris"
        hooks.answers.insert(0, ("--query id", 0, "object-id"))
        # No app answers there: PowerShell's own client is not replaced, and gives up after its tries.
    hooks.answers.insert(0, (known, 0, "https://elsewhere.contoso.com/desk"))
    variables = {**DEPLOYED, "SASQUASH_API_CLIENT_ID": "registration-id"}
    if hooks.shell == "pwsh":
        variables |= {"SASQUASH_API": "http://127.0.0.1:9/api", "SASQUASH_INTAKE": "http://127.0.0.1:9/api/intake"}
    code, said = hooks.run("postdeploy", variables)

    assert code == 0
    assert "The registration allows sign-in at the console." in said
    if hooks.shell == "sh":
        assert f'["{DEPLOYED["SASQUASH_API"]}/desk", "https://elsewhere.contoso.com/desk"]' in hooks.calls()


def test_what_is_only_information_fails_nothing(bash: Hooks) -> None:
    """The registration may not be changed, and there is no token for it."""
    curl(bash, "exit 22")
    bash.answers[:0] = [("rest ", 1, "Forbidden"), ("account get-access-token", 1, "AADSTS500011")]
    code, said = bash.run("postdeploy", {**DEPLOYED, "SASQUASH_API_CLIENT_ID": "registration-id"})

    assert code == 0
    assert f"SASQUASH_API={DEPLOYED['SASQUASH_API']} scripts/create-registration.sh prod" in said
    assert "Readiness was not read" in said


# Limits of time


def hangs(folder: Path) -> None:
    """An Azure CLI that starts another process, as its packages do, and never answers."""
    (folder / "az").write_text("#!/bin/sh\nsleep 300\n")
    (folder / "az").chmod(0o755)


def limited_in_bash(folder: Path) -> list[str]:
    return ["bash", "-c", f'. {ROOT}/scripts/hooks/limited.sh; said=$(limited 1 az x) || echo "ended with $?"']


def limited_in_powershell(folder: Path) -> list[str]:
    script = folder / "limited.ps1"
    text = '$run = Invoke-Az 1 @("x")\n"$($run.Errors) ended with $($run.Code)"\n'
    script.write_text(f". {ROOT}/scripts/hooks/limited.ps1\n{text}")
    return ["pwsh", "-NoProfile", "-NonInteractive", "-File", str(script)]


@pytest.mark.parametrize(("made", "code"), [(limited_in_bash, 143), (limited_in_powershell, 124)])
def test_command_that_does_not_answer_is_ended(tmp_path: Path, made: Callable[[Path], list[str]], code: int) -> None:
    """Else the run would last for five minutes, since its output stays open while a process has it."""
    if made is limited_in_powershell and shutil.which("pwsh") is None:
        pytest.skip("pwsh is not on the PATH")
    hangs(tmp_path)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(made(tmp_path), env=environment, capture_output=True, text=True, timeout=100, check=False)

    assert f"ended with {code}" in done.stdout
    assert "No answer in time: az was ended." in done.stdout + done.stderr
