"""What a deployment of infra/ would create, as `bicep snapshot` predicts it offline.

What only a deployment knows stays as an expression: "[reference(…)…]". As a command, for `make lint`:
`python -m tests.support.snapshots FOLDER` writes the predicted resources as templates, which checkov reads.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

SUBSCRIPTION = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"
OTHER_SUBSCRIPTION = "c05f1c0e-6a0e-4d2c-8f0b-7d1f3f2d9a44"
TENANT = "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11"
REQUIRED = {
    "environmentName": "prod",
    "location": "westeurope",
    "mode": "auto",
    "securityMailbox": "security@contoso.com",
}
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"


@dataclass(frozen=True)
class Snapshot:
    """The resources of a deployment, and its outputs."""

    resources: tuple[dict[str, Any], ...]
    outputs: Mapping[str, Any]

    def of_type(self, kind: str, *, name: str = "") -> list[dict[str, Any]]:
        """The resources of a type, whose names contain `name`."""
        return [each for each in self.resources if each["type"] == kind and name in each["name"]]

    def one(self, kind: str, *, name: str = "") -> dict[str, Any]:
        [found] = self.of_type(kind, name=name)
        return found

    def app_settings(self, *, of_intake: bool = False) -> dict[str, str]:
        """The app settings of one of the two apps."""
        configured = self.of_type("Microsoft.Web/sites/config", name="/appsettings")
        [found] = [each for each in configured if ("func-sasquash-in-" in each["name"]) is of_intake]
        settings: dict[str, str] = found["properties"]
        return settings

    def assignments(self, identity: str) -> Iterator[tuple[str, str]]:
        """The role assignments of an identity, by a part of its name: the scope, and the role's id."""
        for each in self.of_type(ASSIGNMENT):
            if f"-{identity}'" in each["properties"]["principalId"]:
                scope = each["id"].partition(f"/providers/{ASSIGNMENT}")[0]
                yield scope, each["properties"]["roleDefinitionId"].rpartition("/")[2]


def predict(bicep: str, file: Path, folder: Path, parameters: Mapping[str, object], *, group: str = "") -> Snapshot:
    """Run the compiler over a file of infra/, with values of its parameters."""
    given = folder / "given.bicepparam"
    using = f"using '{_relative(file, folder)}'\n"
    given.write_text(using + "".join(f"param {name} = {_text(value)}\n" for name, value in parameters.items()))
    place = {"--tenant-id": TENANT, "--subscription-id": SUBSCRIPTION, "--location": "westeurope"}
    place |= {"--deployment-name": "main"} | ({"--resource-group": group} if group else {})
    options = [text for pair in place.items() for text in pair]
    command = [bicep, "snapshot", given, "--mode", "overwrite", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr + done.stdout)
    read = json.loads(given.with_suffix(".snapshot.json").read_text())
    return Snapshot(tuple(read["predictedResources"]), read.get("outputs") or {})


def resources_of(template: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources of a compiled template: by name where the template uses types, else in a list."""
    found = template["resources"]
    return list(found.values()) if isinstance(found, dict) else found


def _relative(file: Path, folder: Path) -> str:
    """The compiler refuses absolute paths."""
    return str(file.resolve().relative_to(folder.resolve(), walk_up=True))


def _text(value: object) -> str:
    """A value as Bicep writes it."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, dict):
        return "{" + "".join(f"\n  {name}: {_text(item)}" for name, item in value.items()) + "\n}"
    return str(value).lower()


def main(folder: Path) -> None:
    """Write what deployments would create, as templates: with the defaults, and in a private network."""
    of_azure_cli = Path(os.environ.get("AZURE_CONFIG_DIR", Path.home() / ".azure")) / "bin" / "bicep"
    bicep = shutil.which("bicep") or str(of_azure_cli)
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    folder.mkdir(parents=True, exist_ok=True)
    for name, choices in (("deployed", {}), ("private", {"privateNetwork": True})):
        with tempfile.TemporaryDirectory() as temporary:
            snapshot = predict(bicep, ROOT / "infra" / "main.bicep", Path(temporary), REQUIRED | choices)
        template = {"$schema": schema, "contentVersion": "1.0.0.0", "resources": snapshot.resources}
        (folder / f"{name}.json").write_text(json.dumps(template, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
