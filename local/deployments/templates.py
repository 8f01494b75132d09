"""Deploys a template into `Resources`: its parameters, variables, resources in order, nested templates and outputs.

Sources: learn.microsoft.com, "Understand the structure and syntax of ARM templates", "Symbolic names",
"Resource iteration", "Type definitions". Mode Incremental only, and nested templates with inner scope only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from local.arm.protocol import ArmError
from local.deployments.expressions import Functions, Lazy, TemplateError, evaluated, is_expression
from local.deployments.functions import pure, with_lambdas
from local.deployments.resources import GROUP, REGIONS, Resources
from local.tenant.model import TENANT_ID

_NESTED = "microsoft.resources/deployments"
_KINDS: Mapping[str, type[Any]] = {"string": str, "int": int, "bool": bool, "object": dict, "array": list}
_ENVIRONMENT = {
    "name": "AzureCloud",
    "suffixes": {"storage": "core.windows.net", "keyvaultDns": ".vault.azure.net"},
    "authentication": {"loginEndpoint": "https://login.microsoftonline.com/", "tenant": "common"},
    "resourceManager": "https://management.azure.com/",
}


@dataclass(frozen=True)
class Place:
    """Where a template is deployed to. `group` is empty for a subscription."""

    subscription: str
    group: str
    location: str
    deployment: str

    @property
    def scope(self) -> str:
        of_subscription = f"/subscriptions/{self.subscription}"
        return f"{of_subscription}/resourceGroups/{self.group}" if self.group else of_subscription


@dataclass(frozen=True)
class Result:
    """What a deployment returned, and the ids of its resources."""

    outputs: Mapping[str, Any]
    resources: tuple[str, ...]


def deploy(
    template: Mapping[str, Any], parameters: Mapping[str, Any], *, place: Place, resources: Resources
) -> Result:
    """Deploy. Raises ArmError; what was deployed before the error stays, as in Azure."""
    try:
        return _Deployment(template, parameters, place, resources).run()
    except TemplateError as error:
        raise invalid_template(str(error)) from None


def invalid_template(problem: str) -> ArmError:
    return ArmError(400, "InvalidTemplate", f"Deployment template validation failed: '{problem}'.")


class _Deployment:
    """One template under way. `_made` has the resources by symbolic name, or by id where there are no such names."""

    def __init__(
        self, template: Mapping[str, Any], parameters: Mapping[str, Any], place: Place, resources: Resources
    ) -> None:
        self._template = template
        self._place = place
        self._resources = resources
        self._given = parameters
        self._parameters: dict[str, Any] = {}
        self._variables: dict[str, Any] = {}
        self._made: dict[str, Any] = {}
        self._ids: list[str] = []
        self._index: list[int] = []
        self._functions: Functions = with_lambdas(pure() | self._of_the_place())

    def run(self) -> Result:
        self._read_parameters()
        found = self._template["resources"]
        pending = dict(found) if isinstance(found, dict) else self._by_id(found)
        while pending:
            ready = [name for name, each in pending.items() if self._is_ready(each, pending)]
            if not ready:
                raise TemplateError(f"Circular dependency detected on resource: '{', '.join(pending)}'")
            for name in ready:
                self._deploy(name, pending.pop(name))
        outputs = {
            name: {"type": each["type"].capitalize(), "value": self._evaluated(each["value"])}
            for name, each in self._template.get("outputs", {}).items()
        }
        return Result(outputs, tuple(self._ids))

    # Parameters

    def _read_parameters(self) -> None:
        declared = self._template.get("parameters", {})
        unknown = self._given.keys() - declared.keys()
        if unknown:
            raise TemplateError(
                f"The following parameters were supplied, but do not correspond to any parameters defined in the "
                f"template: '{', '.join(sorted(unknown))}'"
            )
        for name, each in declared.items():
            if name in self._given and self._given[name] is not None:
                value = self._given[name]
            elif "defaultValue" in each:
                value = self._evaluated(each["defaultValue"])
            else:
                raise TemplateError(f"The value for the template parameter '{name}' is not provided")
            self._require_type(name, value, each)
            self._parameters[name] = value

    def _require_type(self, name: str, value: Any, declared: Mapping[str, Any]) -> None:
        if reference := declared.get("$ref"):
            declared = self._template["definitions"][reference.rpartition("/")[2]] | {
                key: item for key, item in declared.items() if key != "$ref"
            }
        if value is None and declared.get("nullable"):
            return
        kind: str = declared["type"].lower().removeprefix("secure")
        if not isinstance(value, _KINDS[kind]) or (kind == "int" and isinstance(value, bool)):
            raise TemplateError(f"Template parameter JToken type is not valid: '{name}'. Expected '{kind}'")
        if "allowedValues" in declared and value not in declared["allowedValues"]:
            allowed = ", ".join(map(str, declared["allowedValues"]))
            raise TemplateError(
                f"The provided value '{value}' for the template parameter '{name}' is not valid. The value is not "
                f"part of the allowed value(s): '{allowed}'"
            )
        self._require_size(name, value, declared, kind)
        if kind == "object":
            self._require_members(name, value, declared)
        elif kind == "array" and "items" in declared:
            for i, item in enumerate(value):
                self._require_type(f"{name}[{i}]", item, declared["items"])

    def _require_size(self, name: str, value: Any, declared: Mapping[str, Any], kind: str) -> None:
        size = value if kind == "int" else len(value) if kind in ("string", "array") else 0
        low, high = ("minValue", "maxValue") if kind == "int" else ("minLength", "maxLength")
        if not declared.get(low, size) <= size <= declared.get(high, size):
            raise TemplateError(f"The provided value for the template parameter '{name}' is not valid: '{value}'")

    def _require_members(self, name: str, value: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
        known = declared.get("properties", {})
        further = declared.get("additionalProperties", True)
        for key, item in value.items():
            if key in known:
                self._require_type(f"{name}.{key}", item, known[key])
            elif further is False:
                raise TemplateError(f"The property '{key}' is not allowed in the template parameter '{name}'")
            elif isinstance(further, dict):
                self._require_type(f"{name}.{key}", item, further)
        for key, each in known.items():
            if key not in value and not each.get("nullable"):
                raise TemplateError(f"The property '{key}' is missing in the template parameter '{name}'")

    # Resources

    def _by_id(self, resources: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The resources of a template without symbolic names: by id, each item of a loop by itself."""
        found: dict[str, Mapping[str, Any]] = {}
        for each in resources:
            loop = each.get("copy")
            for i in range(self._evaluated(loop["count"]) if loop else 1):
                self._index.append(i)
                item = {key: value for key, value in each.items() if key != "copy"}
                # Its index is that of the loop when it is deployed, too.
                item = {key: value if key in ("type", "properties") and not loop else self._settled(value)
                        for key, value in item.items()}  # fmt: skip
                found[self._id_of(item)] = item
                self._index.pop()
        return found

    def _settled(self, value: Any) -> Any:
        """A value with its expressions evaluated, as a template's literal."""
        settled = self._evaluated(value)
        return f"[{settled}" if isinstance(settled, str) and settled.startswith("[") else settled

    def _is_ready(self, resource: Mapping[str, Any], pending: Mapping[str, Any]) -> bool:
        """Whether what it depends on is deployed. A name of a loop's item stands for its whole loop here."""
        for text in resource.get("dependsOn", []):
            loop = str(text).removeprefix("[format('").partition("[")[0]
            is_loop = is_expression(text) and loop in self._template["resources"]
            if (loop if is_loop else str(self._evaluated(text))) in pending:
                return False
        return True

    def _deploy(self, name: str, resource: Mapping[str, Any]) -> None:
        loop = resource.get("copy")
        if loop is None:
            self._made[name] = self._deploy_one(resource)
            return
        made = []
        for i in range(self._evaluated(loop["count"])):
            self._index.append(i)
            made.append(self._deploy_one(resource))
            self._made[f"{name}[{i}]"] = made[-1]
            self._index.pop()
        self._made[name] = made

    def _deploy_one(self, resource: Mapping[str, Any]) -> dict[str, Any] | None:
        if not self._evaluated(resource.get("condition", True)):
            return None
        if resource.get("existing"):
            return self._resources.find(self._id_of(resource))
        if resource["type"].lower() == _NESTED:
            return self._deploy_nested(resource)
        body = {key: self._evaluated(item) for key, item in resource.items() if key != "copy"}
        location = str(body.get("location", "global")).replace(" ", "").lower()
        if location not in REGIONS | {"global"}:
            raise ArmError(400, "LocationNotAvailableForResourceType", f"The location '{location}' is not available.")
        made = self._resources.put(self._id_of(resource), body)
        self._ids.append(made["id"])
        return made

    def _deploy_nested(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        properties = resource["properties"]
        place = replace(
            self._place,
            deployment=self._evaluated(resource["name"]),
            subscription=self._evaluated(resource.get("subscriptionId", self._place.subscription)),
        )
        if "resourceGroup" in resource:
            place = replace(place, group=self._evaluated(resource["resourceGroup"]))
            if self._resources.find(place.scope) is None:
                raise ArmError(404, "ResourceGroupNotFound", f"Resource group '{place.group}' could not be found.")
        given = {name: each["value"] for name, each in self._evaluated(properties.get("parameters", {})).items()}
        nested = _Deployment(properties["template"], given, place, self._resources)
        result = nested.run()
        self._ids += result.resources
        return {"id": f"{place.scope}/deployments", "properties": {"outputs": result.outputs}}

    def _id_of(self, resource: Mapping[str, Any]) -> str:
        kind, names = resource["type"], str(self._evaluated(resource["name"])).split("/")
        if kind.lower() == GROUP:
            return f"/subscriptions/{self._place.subscription}/resourceGroups/{names[0]}"
        scope = self._evaluated(resource["scope"]) if "scope" in resource else self._place.scope
        return f"{scope}/providers/{_path(kind, names)}"

    # Expressions

    def _evaluated(self, value: Any) -> Any:
        return evaluated(value, self._functions)

    def _of_the_place(self) -> dict[str, Any]:
        return {
            "copyindex": lambda *parts: self._index[-1] + sum(part() for part in parts),
            "deployment": lambda: {"name": self._place.deployment, "location": self._place.location},
            "environment": lambda: _ENVIRONMENT,
            "parameters": lambda name: self._named(self._parameters, name(), "parameter"),
            "reference": self._reference,
            "resourcegroup": lambda: self._resources.find(self._place.scope),
            "resourceid": lambda *parts: self._resource_id(*(part() for part in parts)),
            "subscription": lambda: {
                "id": f"/subscriptions/{self._place.subscription}",
                "subscriptionId": self._place.subscription,
                "tenantId": TENANT_ID,
            },
            "subscriptionresourceid": lambda *parts: self._of_subscription(*(part() for part in parts)),
            "tenant": lambda: {"tenantId": TENANT_ID},
            "variables": self._variable,
        }

    def _named(self, values: Mapping[str, Any], name: str, kind: str) -> Any:
        if name not in values:
            raise TemplateError(f"The template {kind} '{name}' is not found")
        return values[name]

    def _variable(self, name: Lazy) -> Any:
        wanted = name()
        if wanted not in self._variables:
            declared = self._template.get("variables", {})
            loops = {loop["name"]: loop for loop in declared.get("copy", [])}
            if wanted in loops:
                self._variables[wanted] = list(self._loop(loops[wanted]))
            else:
                self._variables[wanted] = self._evaluated(self._named(declared, wanted, "variable"))
        return self._variables[wanted]

    def _loop(self, loop: Mapping[str, Any]) -> Iterator[Any]:
        for i in range(self._evaluated(loop["count"])):
            functions = dict(self._functions) | {"copyindex": lambda *_, i=i: i}
            yield evaluated(loop["input"], functions)

    def _reference(self, target: Lazy, _version: Lazy | None = None, full: Lazy | None = None) -> Any:
        name = target()
        made = self._made[name] if name in self._made else self._resources.find(name)
        if made is None:
            raise ArmError(404, "ResourceNotFound", f"The Resource '{name}' was not found.")
        return made if full is not None and full() == "full" else made["properties"]

    def _resource_id(self, *parts: str) -> str:
        i = next(i for i, part in enumerate(parts) if "/" in part)
        subscription = parts[0] if i == 2 else self._place.subscription
        group = parts[i - 1] if i else self._place.group
        return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{_path(parts[i], parts[i + 1 :])}"

    def _of_subscription(self, *parts: str) -> str:
        i = next(i for i, part in enumerate(parts) if "/" in part)
        subscription = parts[0] if i else self._place.subscription
        return f"/subscriptions/{subscription}/providers/{_path(parts[i], parts[i + 1 :])}"


def _path(kind: str, names: tuple[str, ...] | list[str]) -> str:
    """`Microsoft.X/a/b` and two names make `Microsoft.X/a/name1/b/name2`. Raises TemplateError."""
    namespace, *kinds = kind.split("/")
    if len(kinds) != len(names):
        raise TemplateError(
            f"The template resource '{'/'.join(names)}' of type '{kind}' has incorrect segment lengths"
        )
    return "/".join([namespace, *(part for pair in zip(kinds, names, strict=True) for part in pair)])
