"""Whether a revocation on an account would succeed, from Azure's locks, permissions and settings."""

import pytest

from shared.domain.readiness import (
    EVERYONE,
    NEEDED,
    Actions,
    Check,
    Denial,
    Lock,
    of_answers,
    of_denials,
    of_locks,
    of_logs,
    of_rights,
)
from shared.sas import Service
from tests.support.bicep import roles

GROUP = "/subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourceGroups/models"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/robustmodels"
US = "81ee9332-c35d-4c3e-9f21-3f7f99e80623"
REGENERATE = "Microsoft.Storage/storageAccounts/regeneratekey/action"


def test_what_is_needed_is_what_the_roles_have_but_for_what_is_optional() -> None:
    by_name = {role["name"]: set(role["actions"]) for role in roles()}
    actions = set().union(
        *(actions for name, actions in by_name.items() if "Action" in name and "Lockdown" not in name)
    )
    optional = {"Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"}
    list_keys = {"Microsoft.Storage/storageAccounts/listkeys/action"}

    assert set(NEEDED) == actions - optional | list_keys
    assert list_keys < by_name["Sasquash Attribution"]


@pytest.mark.parametrize(
    ("scope", "level", "forbids"),
    [
        (ACCOUNT, "ReadOnly", True),
        (ACCOUNT.upper(), "ReadOnly", True),
        (GROUP, "ReadOnly", True),
        (GROUP.partition("/resourceGroups")[0], "ReadOnly", True),
        (ACCOUNT, "CanNotDelete", False),
        (f"{ACCOUNT}2", "ReadOnly", False),
        (f"{GROUP}-test", "ReadOnly", False),
        (f"{ACCOUNT}/blobServices/default", "ReadOnly", False),
    ],
    ids=["its own", "in capitals", "its group's", "its subscription's", "against deletion", "a longer name's",
         "another group's", "of a part"],
)  # fmt: skip
def test_read_only_lock_on_it_or_above_forbids_a_revocation(scope: str, level: str, forbids: bool) -> None:
    troubles = of_locks(ACCOUNT, [Lock(scope, level, "keep")])

    assert [(trouble.check, trouble.blocking) for trouble in troubles] == [(Check.LOCK, True)] * forbids


def denial(**changed: object) -> Denial:
    fields: dict[str, object] = {
        "name": "stack",
        "scope": GROUP,
        "denied": (Actions(("Microsoft.Storage/*",)),),
        "principals": frozenset({EVERYONE}),
        "excluded": frozenset(),
    }
    return Denial(**{**fields, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "forbids"),
    [
        ({}, True),
        ({"principals": frozenset({US})}, True),
        ({"principals": frozenset({"another"})}, False),
        ({"excluded": frozenset({US})}, False),
        ({"denied": (Actions(("*/delete",)),)}, False),
        ({"denied": (Actions(("*",), (f"{REGENERATE[:-6]}*",)), Actions(("*/REGENERATEKEY/action",)))}, True),
        ({"denied": (Actions(("*",), ("Microsoft.Storage/*",)),)}, False),
        ({"spares_children": True}, False),
        ({"spares_children": True, "scope": ACCOUNT}, True),
        ({"scope": f"{GROUP}2"}, False),
    ],
    ids=["everyone", "us", "another", "but us", "deletion", "one action", "all but storage", "not below", "itself",
         "elsewhere"],
)  # fmt: skip
def test_a_deny_assignment_forbids_what_it_denies_us_there(changed: dict[str, object], forbids: bool) -> None:
    troubles = of_denials(ACCOUNT, [denial(**changed)], principal=US)

    assert [(trouble.check, trouble.blocking) for trouble in troubles] == [(Check.DENIAL, True)] * forbids


def test_rights_may_come_from_several_roles_and_patterns() -> None:
    assert of_rights([Actions((NEEDED[0],)), Actions(("Microsoft.Storage/*",), (NEEDED[0],))]) == []


def test_a_right_that_is_missing_is_named() -> None:
    [trouble] = of_rights([Actions(("*",), (REGENERATE.upper(),))])

    assert (trouble.check, trouble.blocking) == (Check.RIGHT, True)
    assert REGENERATE in trouble.said
    assert NEEDED[0] not in trouble.said


def test_unreachable_service_prevents_its_verification() -> None:
    [trouble] = of_answers(
        {Service.BLOB: "AuthorizationFailure", Service.QUEUE: None, Service.TABLE: "NoAuthenticationInformation"}
    )

    assert (trouble.check, trouble.blocking) == (Check.REACH, False)
    assert "its blob and queue service:" in trouble.said


def test_services_that_refuse_who_shows_nothing_are_reached() -> None:
    assert of_answers({Service.BLOB: "PublicAccessNotPermitted", Service.TABLE: ""}) == []


@pytest.mark.parametrize("category", ["StorageRead", "allLogs", "audit"])
def test_a_service_whose_reads_are_logged_is_well(category: str) -> None:
    assert of_logs({Service.BLOB: frozenset({category, "StorageDelete"})}) == []


def test_a_service_whose_reads_are_not_logged_is_named() -> None:
    [trouble] = of_logs({Service.BLOB: frozenset({"StorageRead"}), Service.FILE: frozenset({"StorageDelete"})})

    assert (trouble.check, trouble.blocking) == (Check.LOG, False)
    assert "its file service" in trouble.said
