"""Whether a revocation on an account would succeed, from Azure's locks, permissions and settings."""

import pytest

from shared.domain.readiness import (
    EVERYONE,
    NEEDED_TO_ACT,
    NEEDED_TO_DECIDE,
    Actions,
    Check,
    Denial,
    Lock,
    needed,
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
REQUIRED = needed(acts=True)


def test_what_is_needed_to_act_is_what_the_roles_have_that_are_granted_for_it() -> None:
    actions = {action for role in roles() if role["granted"] == "acting" for action in role["actions"]}
    optional = {"Microsoft.Storage/storageAccounts/blobServices/generateUserDelegationKey/action"}

    assert set(NEEDED_TO_ACT) == actions - optional


def test_what_is_needed_to_decide_is_always_granted() -> None:
    always = {action for role in roles() if role["granted"] == "always" for action in role["actions"]}

    assert always > set(NEEDED_TO_DECIDE)


def test_where_sasquash_only_observes_no_permission_to_change_is_needed() -> None:
    assert needed(acts=False) == NEEDED_TO_DECIDE
    assert set(needed(acts=True)) == {*NEEDED_TO_DECIDE, *NEEDED_TO_ACT}


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
    troubles = of_denials(ACCOUNT, [denial(**changed)], principal=US, required=REQUIRED)

    assert [(trouble.check, trouble.blocking) for trouble in troubles] == [(Check.DENIAL, True)] * forbids


def test_rights_may_come_from_several_roles_and_patterns() -> None:
    first = REQUIRED[0]
    granted = [Actions((first,)), Actions(("Microsoft.Storage/*",), (first,))]

    assert of_rights(granted, required=REQUIRED) == []


def test_a_right_that_is_missing_is_named() -> None:
    [trouble] = of_rights([Actions(("*",), (REGENERATE.upper(),))], required=REQUIRED)

    assert (trouble.check, trouble.blocking) == (Check.RIGHT, True)
    assert REGENERATE in trouble.said
    assert REQUIRED[0] not in trouble.said


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
