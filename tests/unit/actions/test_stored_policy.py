"""The stored access policy lever, against a strict Azure Storage and ARM in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import ClientConnectorError, ClientOSError
from aiohttp.client_reqrep import ConnectionKey
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.rest import HttpRequest
from azure.mgmt.storage.aio import StorageManagementClient
from azure.mgmt.storage.aio.operations import TableOperations

from shared.actions import stored_policy
from shared.actions.acl import arm
from shared.actions.acl.data_plane import DataPlaneAcl
from shared.actions.acl.policies import NO_POLICY, from_xml
from shared.actions.stored_policy import StoredPolicyAction, StoredPolicySpec
from shared.actions.verification import Verifier
from shared.domain.account import AccountFacts, AccountKey, PolicyReading, PolicyState, Via
from shared.domain.revocation import Execution, Outcome, Plan, Verification, VerificationToken
from shared.domain.target import ActionKind, PolicyTarget
from shared.errors import Blocked, SasquashError, TransientFailure
from shared.sas import Service
from tests.support import samples
from tests.support.acl_service import AclPlane, Happening, Resource, Token
from tests.support.samples import ACCOUNT, KEYS, NOW, SERVICES, SUBSCRIPTION

ID = "11111111-2222-4333-8444-555555555555"
KEY = AccountKey(KEYS["key1"], None)
TAGGED = {"sasquash-policy-removal": "delete"}
RESOURCES = {Service.BLOB: "models", Service.FILE: "share", Service.QUEUE: "jobs", Service.TABLE: "People"}
IN_A_YEAR = NOW + timedelta(days=365)

OTHERS = [
    "<SignedIdentifier><Id>apps</Id><AccessPolicy><Start>2026-01-01</Start>"
    "<Expiry>2027-01-01T10:20:30.1234567Z</Expiry><Permission>r</Permission></AccessPolicy></SignedIdentifier>",
    "<SignedIdentifier><Id>web</Id><AccessPolicy><Permission>r</Permission></AccessPolicy></SignedIdentifier>",
]
LIVE = (
    "<SignedIdentifier><Id>partners</Id><AccessPolicy><Expiry>2027-11-21T10:00:00.0000000Z</Expiry>"
    "<Permission>rwd</Permission></AccessPolicy></SignedIdentifier>"
)
BURIED = (
    "<SignedIdentifier><Id>partners</Id><AccessPolicy><Expiry>2000-01-01T00:00:00.0000000Z</Expiry>"
    "</AccessPolicy></SignedIdentifier>"
)


def written(inner: str, policy: str = "partners") -> str:
    return f"<SignedIdentifier><Id>{policy}</Id><AccessPolicy>{inner}</AccessPolicy></SignedIdentifier>"


def target(service: Service = Service.BLOB) -> PolicyTarget:
    return PolicyTarget(service, RESOURCES[service], "partners")


@pytest.fixture
def plane() -> AclPlane:
    return AclPlane(
        {f"{service}/{name}": Resource([OTHERS[0], LIVE, OTHERS[1]]) for service, name in RESOURCES.items()}
    )


def acl(plane: AclPlane, service: Service = Service.BLOB) -> list[str]:
    return resource(plane, service).acl


def resource(plane: AclPlane, service: Service = Service.BLOB) -> Resource:
    return plane.resources[f"{service}/{RESOURCES[service]}"]


@pytest.fixture
async def action(plane: AclPlane) -> AsyncIterator[StoredPolicyAction]:
    transport = plane.connect()
    async with StorageManagementClient(
        Token(), SUBSCRIPTION, transport=transport, retry_total=2, retry_backoff_factor=0
    ) as client:
        verifier = Verifier(plane.connect, clock=lambda: plane.now, new_id=lambda: ID)
        yield StoredPolicyAction(
            lambda _: client,
            verifier,
            plane.connect,
            clock=lambda: plane.now,
            new_id=lambda: ID,
            pause=plane.pause,
        )


async def reading(
    action: StoredPolicyAction, service: Service = Service.BLOB, account: AccountFacts | None = None
) -> PolicyReading:
    return await action.read(account or samples.account(), target(service), key=KEY)


def plan_for(read: PolicyReading) -> Plan:
    return replace(samples.plan(), action=ActionKind.STORED_POLICY, target=str(read.target), version=read.version)


async def execution(
    action: StoredPolicyAction,
    service: Service = Service.BLOB,
    *,
    account: AccountFacts | None = None,
    read: PolicyReading | None = None,
    tokens: tuple[VerificationToken, ...] = (),
) -> Execution:
    account = account or samples.account()
    read = read or await reading(action, service)
    return await action.execute(plan_for(read), account, read, key=KEY, tokens=tokens)


NO_CONNECTION = ServiceRequestError(
    "refused", error=ClientConnectorError(ConnectionKey("h", 443, True, True, None, None, None), OSError("refused"))
)
RESET = ServiceRequestError("reset", error=ClientOSError(104, "reset"))
CUT = ServiceResponseError("cut")


async def silent(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


# impact


def test_impact_is_on_clients_of_that_policy_alone() -> None:
    [who, nobody_else] = StoredPolicySpec().impact(samples.account(), str(target()))

    assert who == (
        "Every client that uses a SAS of the stored access policy 'partners' of container models in account "
        "robustmodels, including SAS tokens that did not leak."
    )
    assert nobody_else.startswith("Nothing else")


# read


@pytest.mark.parametrize("service", SERVICES)
async def test_a_live_policy_is_read_with_what_it_says(action: StoredPolicyAction, service: Service) -> None:
    assert await reading(action, service) == PolicyReading(
        target(service),
        PolicyState.LIVE,
        from_xml(f"<SignedIdentifiers>{LIVE}</SignedIdentifiers>".encode())[0].version,
        Via.DATA_PLANE,
        permissions="rwd",
        expires=datetime(2027, 11, 21, 10, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("policy", "state"),
    [
        (written(f"<Expiry>{NOW - timedelta(seconds=1)}</Expiry>"), PolicyState.EXPIRED),
        (written("<Permission>r</Permission>"), PolicyState.LIVE),
        (written(""), PolicyState.LIVE),
        (BURIED, PolicyState.TOMBSTONE),
        ("", PolicyState.GONE),
        (written("", policy="Partners"), PolicyState.GONE),
    ],
)
async def test_the_state_of_a_policy_is_told(
    action: StoredPolicyAction, plane: AclPlane, policy: str, state: PolicyState
) -> None:
    resource(plane).acl = [OTHERS[0], policy]

    assert (await reading(action)).state is state


@pytest.mark.parametrize("service", SERVICES)
async def test_the_policy_of_a_resource_that_is_not_there_is_gone(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    plane.resources.clear()

    read = await reading(action, service)

    assert (read.state, read.version) == (PolicyState.GONE, NO_POLICY)


async def test_the_policy_of_a_service_that_the_account_lacks_is_gone(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    account = replace(samples.account(), endpoints={})

    assert (await reading(action, account=account)).state is PolicyState.GONE
    assert plane.requests == []


@pytest.mark.parametrize("name", ["$root", "$web", "$logs"])
async def test_the_containers_that_azure_makes_are_read_like_others(
    action: StoredPolicyAction, plane: AclPlane, name: str
) -> None:
    plane.resources[f"blob/{name}"] = Resource([LIVE])
    of_azure = PolicyTarget(Service.BLOB, name, "partners")

    assert (await action.read(samples.account(), of_azure, key=KEY)).state is PolicyState.LIVE


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
@pytest.mark.parametrize("code", ["AuthorizationFailure", "KeyBasedAuthenticationNotPermitted"])
async def test_tables_and_shares_whose_data_plane_keeps_us_out_are_read_through_arm(
    action: StoredPolicyAction, plane: AclPlane, service: Service, code: str
) -> None:
    by_data_plane = await reading(action, service)
    plane.kept_out = code

    assert await reading(action, service) == replace(by_data_plane, via=Via.ARM)


@pytest.mark.parametrize("service", [Service.BLOB, Service.QUEUE])
@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("AuthorizationFailure", "the account's network rules keep us out"),
        ("KeyBasedAuthenticationNotPermitted", "shared key access is switched off"),
    ],
)
async def test_containers_and_queues_whose_data_plane_keeps_us_out_are_unreachable(
    action: StoredPolicyAction, plane: AclPlane, service: Service, code: str, why: str
) -> None:
    plane.kept_out = code

    read = await reading(action, service)

    assert read.state is PolicyState.UNREACHABLE
    assert why in read.detail


@pytest.mark.parametrize(
    ("service", "state", "via"),
    [
        (Service.BLOB, PolicyState.UNREACHABLE, Via.DATA_PLANE),
        (Service.FILE, PolicyState.LIVE, Via.ARM),
    ],
)
async def test_a_data_plane_without_a_way_to_it_is_tried_twice(
    action: StoredPolicyAction, plane: AclPlane, service: Service, state: PolicyState, via: Via
) -> None:
    plane.meanwhile = [Happening("GET", NO_CONNECTION), Happening("GET", NO_CONNECTION)]

    read = await reading(action, service)

    assert (read.state, read.via) == (state, via)
    assert len(plane.of("GET", f".{service}.")) == 2


@pytest.mark.parametrize("failure", [(500, "InternalError"), (503, "ServerBusy"), NO_CONNECTION, RESET, CUT])
async def test_a_failure_that_passes_is_passed_over(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    plane.meanwhile = [Happening("GET", failure)]

    assert (await reading(action)).state is PolicyState.LIVE


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ((500, "InternalError"), TransientFailure),
        ((503, "ServerBusy"), TransientFailure),
        ((429, "TooManyRequests"), TransientFailure),
        ((409, "ContainerBeingDeleted"), TransientFailure),
        ((403, "AuthenticationFailed"), TransientFailure),
        (RESET, TransientFailure),
        (CUT, TransientFailure),
        ((400, "InvalidHeaderValue"), Blocked),
        ((403, "AccountIsDisabled"), Blocked),
        ((307, ""), Blocked),
    ],
)
async def test_what_can_t_be_read_is_no_state(
    action: StoredPolicyAction,
    plane: AclPlane,
    failure: tuple[int, str] | AzureError,
    error: type[SasquashError],
) -> None:
    plane.meanwhile = [Happening("GET", failure), Happening("GET", failure)]

    with pytest.raises(error):
        await reading(action)


async def test_an_answer_that_is_no_list_of_policies_is_no_state(action: StoredPolicyAction, plane: AclPlane) -> None:
    resource(plane).acl = ["<SignedIdentifier/>"]

    with pytest.raises(TransientFailure, match="has no id"):
        await reading(action)


async def test_a_missing_right_on_arm_needs_a_person(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.kept_out, plane.arm_rights = "AuthorizationFailure", False

    with pytest.raises(Blocked, match="AuthorizationFailed"):
        await reading(action, Service.TABLE)


# mint


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("policy", "own"),
    [
        ("<Expiry>2027-11-21T10:00:00Z</Expiry><Permission>r</Permission>", set()),
        ("<Expiry>2027-11-21T10:00:00Z</Expiry>", {"sp"}),
        ("<Permission>r</Permission>", {"se"}),
        ("", {"se", "sp"}),
    ],
)
async def test_a_proof_token_says_what_its_policy_does_not_and_is_accepted(
    action: StoredPolicyAction, plane: AclPlane, service: Service, policy: str, own: set[str]
) -> None:
    resource(plane, service).acl = [written(policy)]
    [token] = action.mint(samples.account(), await reading(action, service), key=KEY)

    assert {"se", "sp"} & parse_qs(token.query).keys() == own
    assert (await accepted_before(plane, token)) is True


async def accepted_before(plane: AclPlane, token: VerificationToken) -> bool | None:
    verifier = Verifier(plane.connect, clock=lambda: plane.now, new_id=lambda: ID)
    return (await verifier.try_before(token)).accepted_before


@pytest.mark.parametrize("service", SERVICES)
async def test_a_token_of_a_policy_that_may_not_read_is_accepted_all_the_same(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    resource(plane, service).acl = [written("<Permission>a</Permission>")]
    [token] = action.mint(samples.account(), await reading(action, service), key=KEY)

    assert (await accepted_before(plane, token)) is True


@pytest.mark.parametrize(
    ("service", "path"),
    [
        (Service.BLOB, "models/sasquashproof1111111122224333"),
        (Service.FILE, "share/sasquashproof1111111122224333"),
        (Service.QUEUE, "jobs?comp=metadata"),
        (
            Service.TABLE,
            "People(PartitionKey='sasquashproof1111111122224333',RowKey='sasquashproof1111111122224333')",
        ),
    ],
)
async def test_a_proof_token_reads_nothing_of_the_customer_s(
    action: StoredPolicyAction, service: Service, path: str
) -> None:
    [token] = action.mint(samples.account(), await reading(action, service), key=KEY)

    assert token.url == f"https://{ACCOUNT}.{service}.core.windows.net/{path}"


@pytest.mark.parametrize(
    ("policy", "expires"),
    [
        ("", NOW + timedelta(minutes=30)),
        ("<Expiry>2027-11-21T10:00:00Z</Expiry>", NOW + timedelta(minutes=30)),
        ("<Expiry>2026-11-21T10:05:00Z</Expiry>", NOW + timedelta(minutes=5)),
    ],
)
async def test_a_proof_token_serves_for_half_an_hour_at_most(
    action: StoredPolicyAction, plane: AclPlane, policy: str, expires: datetime
) -> None:
    resource(plane).acl = [written(policy)]
    [token] = action.mint(samples.account(), await reading(action), key=KEY)

    assert token.expires == expires


@pytest.mark.parametrize("state", [state for state in PolicyState if state is not PolicyState.LIVE])
def test_what_is_not_live_has_no_proof_token(action: StoredPolicyAction, state: PolicyState) -> None:
    read = PolicyReading(target(), state, NO_POLICY, Via.DATA_PLANE)

    assert action.mint(samples.account(), read, key=KEY) == ()


# pull


@pytest.mark.parametrize("service", SERVICES)
async def test_a_tombstone_is_left_and_all_else_is_as_it_was(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    await execution(action, service)

    assert acl(plane, service) == [OTHERS[0], BURIED, OTHERS[1]]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_policy_is_deleted_where_the_tag_asks_for_it(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    executed = await execution(action, service, account=samples.account(tags=TAGGED))

    assert acl(plane, service) == OTHERS
    assert executed.new_sha256 == ""
    assert executed.notes[0].startswith("The policy is gone, as the account's tag sasquash-policy-removal asks")


async def test_a_pull_says_what_was_done(action: StoredPolicyAction, plane: AclPlane) -> None:
    read = await reading(action)
    executed = await execution(action, read=read)

    assert executed == Execution(
        action=ActionKind.STORED_POLICY,
        target="blob/models/partners",
        at=NOW,
        old_sha256=read.version,
        new_sha256=(await reading(action)).version,
        confirmed_by="answer",
        correlation_id=ID,
    )


async def test_storage_is_told_the_id_under_which_the_record_names_the_call(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    await execution(action)

    assert [request.headers["x-ms-client-request-id"] for request in plane.of("PUT")] == [ID]


@pytest.mark.parametrize("level", ["blob", "container", None])
async def test_a_container_stays_as_public_as_it_was(
    action: StoredPolicyAction, plane: AclPlane, level: str | None
) -> None:
    resource(plane).public_access = level

    await execution(action)

    assert resource(plane).public_access == level


async def test_a_level_that_the_account_forbids_spares_no_policy(action: StoredPolicyAction, plane: AclPlane) -> None:
    resource(plane).public_access, plane.public_access_allowed = "blob", False

    executed = await execution(action)

    assert acl(plane)[1] == BURIED
    assert executed.notes[0].startswith('Its public-access level "blob" could not be kept')


@pytest.mark.parametrize("service", [Service.BLOB, Service.FILE])
async def test_a_lease_is_broken(action: StoredPolicyAction, plane: AclPlane, service: Service) -> None:
    resource(plane, service).leased = True

    executed = await execution(action, service)

    assert acl(plane, service)[1] == BURIED
    assert executed.notes == ("The lease on it was broken, since it kept the policies from being changed.",)


async def test_a_lease_that_somebody_takes_again_and_again_is_not_broken_for_ever(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", do=lambda: setattr(resource(plane), "leased", True)) for _ in range(50)]

    with pytest.raises(TransientFailure, match="somebody else keeps changing"):
        await execution(action, read=read)


async def test_a_lease_that_ended_by_itself_needs_no_breaking(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.meanwhile = [
        Happening("PUT", (412, "LeaseIdMissing")),
        Happening("PUT", (409, "LeaseNotPresentWithLeaseOperation")),
    ]

    assert (await execution(action)).notes == ()
    assert acl(plane)[1] == BURIED


async def test_a_lease_that_can_t_be_broken_needs_a_person(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.meanwhile = [Happening("PUT", (412, "LeaseIdMissing")), Happening("PUT", (400, "InvalidHeaderValue"))]

    with pytest.raises(Blocked, match="Breaking the lease"):
        await execution(action)


async def test_a_lease_and_a_forbidden_level_together_spare_no_policy(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    resource(plane).public_access, plane.public_access_allowed = "blob", False
    resource(plane).leased = True

    assert len((await execution(action)).notes) == 2
    assert acl(plane)[1] == BURIED


@pytest.mark.parametrize("service", SERVICES)
async def test_a_second_pull_finds_the_tombstone_and_writes_nothing(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    read = await reading(action, service)
    await execution(action, service, read=read)
    plane.requests.clear()

    again = await execution(action, service, read=read)

    assert plane.of("PUT") == []
    assert (again.confirmed_by, again.correlation_id) == ("listing", None)
    assert again.notes == ("The policy had been ended before: nothing was changed.",)


async def test_a_second_pull_finds_that_the_policy_was_deleted(action: StoredPolicyAction, plane: AclPlane) -> None:
    account = samples.account(tags=TAGGED)
    read = await reading(action)
    await execution(action, read=read, account=account)
    plane.requests.clear()

    assert (await execution(action, read=read, account=account)).new_sha256 == ""
    assert plane.of("PUT") == []


@pytest.mark.parametrize("now", [written("<Permission>r</Permission>"), written("<Expiry>2026-01-01</Expiry>"), ""])
async def test_a_policy_that_changed_since_the_plan_is_left_alone(
    action: StoredPolicyAction, plane: AclPlane, now: str
) -> None:
    read = await reading(action)
    resource(plane).acl = [now]

    with pytest.raises(TransientFailure, match="changed since the plan was made") as failed:
        await execution(action, read=read)

    assert failed.value.had_no_effect
    assert plane.of("PUT") == []


async def test_a_container_that_is_gone_since_the_plan_is_weighed_anew(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.resources.clear()

    with pytest.raises(TransientFailure, match="gone since the plan was made") as failed:
        await execution(action, read=read)

    assert failed.value.had_no_effect


async def test_a_data_plane_that_closed_since_the_plan_is_read_anew(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.kept_out = "AuthorizationFailure"

    with pytest.raises(TransientFailure) as failed:
        await execution(action, read=read)

    assert failed.value.had_no_effect


# pull, while others write

NEW = written("<Permission>w</Permission>", policy="new")


@pytest.mark.parametrize("service", SERVICES)
async def test_what_others_wrote_since_the_plan_survives(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    read = await reading(action, service)
    acl(plane, service).insert(0, NEW)

    await execution(action, service, read=read)

    assert acl(plane, service) == [NEW, OTHERS[0], BURIED, OTHERS[1]]


async def test_what_others_wrote_to_a_container_between_reading_and_writing_survives(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    def others() -> None:
        resource(plane).acl.insert(0, NEW)
        resource(plane).changed = plane.now

    plane.meanwhile = [Happening("PUT", do=others)]

    executed = await execution(action)

    assert acl(plane) == [NEW, OTHERS[0], BURIED, OTHERS[1]]
    assert executed.confirmed_by == "answer"


async def test_a_change_that_hides_in_the_second_of_the_last_one_is_not_lost(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    """Last-Modified has whole seconds: a second change within one can't be told from the first."""
    resource(plane).changed = plane.now
    read = await reading(action)
    plane.meanwhile = [Happening("GET"), Happening("GET", do=lambda: resource(plane).acl.insert(0, NEW))]

    await execution(action, read=read)

    assert acl(plane) == [NEW, OTHERS[0], BURIED, OTHERS[1]]
    assert plane.now == NOW + timedelta(seconds=1)


@pytest.mark.parametrize("service", [Service.QUEUE, Service.TABLE, Service.FILE])
async def test_a_list_that_replaced_ours_is_kept_and_ours_written_on_top(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    def others() -> None:
        if acl(plane, service)[1] == BURIED:
            resource(plane, service).acl = [NEW, LIVE]

    read = await reading(action, service)
    plane.meanwhile = [Happening("GET"), Happening("GET", do=others)]

    await execution(action, service, read=read)

    assert acl(plane, service) == [NEW, BURIED]
    assert len(plane.of("PUT")) == 2


async def test_a_last_change_is_waited_out_once_whatever_azure_says_of_the_time(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    resource(plane).changed = plane.now + timedelta(seconds=10)  # a clock that is behind that of another server

    await execution(action)

    assert acl(plane)[1] == BURIED
    assert plane.now == NOW + timedelta(seconds=1)


async def test_a_container_without_a_time_of_its_last_change_is_written_all_the_same(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    plane.says_when = False

    await execution(action)

    assert acl(plane)[1] == BURIED


async def test_others_who_never_stop_are_not_waited_for_for_ever(action: StoredPolicyAction, plane: AclPlane) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", (412, "ConditionNotMet")) for _ in range(50)]

    with pytest.raises(TransientFailure, match="somebody else keeps changing") as failed:
        await execution(action, read=read)

    assert failed.value.had_no_effect
    assert len(plane.of("PUT")) == 5


# pull, when answers fail


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("failure", [(500, "InternalError"), (503, "ServerBusy"), RESET, CUT], ids=str)
async def test_a_lost_answer_is_settled_by_reading(
    action: StoredPolicyAction, plane: AclPlane, service: Service, failure: tuple[int, str] | AzureError
) -> None:
    plane.meanwhile = [Happening("PUT", failure, after=True)]

    executed = await execution(action, service)

    assert (executed.confirmed_by, executed.correlation_id) == ("listing", ID)
    assert len(plane.of("PUT")) == 1


@pytest.mark.parametrize("failure", [(500, "InternalError"), (503, "ServerBusy"), RESET, CUT], ids=str)
async def test_a_write_that_failed_is_tried_again_later(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(TransientFailure) as failed:
        await execution(action, read=read)

    assert failed.value.had_no_effect, "reading shows that it did not"
    assert len(plane.of("PUT")) == 1


@pytest.mark.parametrize("failure", [(429, "TooManyRequests"), NO_CONNECTION], ids=str)
async def test_a_write_that_never_was_says_so(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(TransientFailure) as failed:
        await execution(action, read=read)

    assert failed.value.had_no_effect


async def test_a_lost_answer_that_can_t_be_settled_may_have_happened(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    plane.meanwhile = [
        Happening("PUT", CUT, after=True),
        *(Happening("GET") for _ in range(1)),
        *(Happening("GET", NO_CONNECTION) for _ in range(2)),
    ]

    with pytest.raises(TransientFailure) as failed:
        await execution(action, read=read)

    assert not failed.value.had_no_effect


@pytest.mark.parametrize("failure", [(400, "InvalidXmlDocument"), (403, "AccountIsDisabled"), (307, "")], ids=str)
async def test_a_refusal_needs_a_person(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str]
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(Blocked, match=str(failure[0])):
        await execution(action, read=read)

    assert len(plane.of("PUT")) == 1


async def test_a_silence_has_an_end(
    action: StoredPolicyAction, plane: AclPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = await reading(action)
    monkeypatch.setattr(stored_policy, "_PULL_TIMEOUT", 0.05)
    monkeypatch.setattr(DataPlaneAcl, "write", silent)

    with pytest.raises(TransientFailure, match="was not done within") as failed:
        await execution(action, read=read)

    assert not failed.value.had_no_effect


@pytest.mark.parametrize("failure", [(400, "Code"), (500, "Code"), CUT], ids=str)
async def test_no_failure_repeats_a_key(
    action: StoredPolicyAction, plane: AclPlane, failure: tuple[int, str] | AzureError
) -> None:
    read = await reading(action)
    plane.meanwhile = [Happening("PUT", failure)]

    with pytest.raises(SasquashError) as failed:
        await execution(action, read=read)

    told = f"{failed.value} {failed.value!r} {failed.value.__cause__!r}"
    assert not any(secret in told for secret in (*KEYS.values(), "SharedKey ", "sig="))


# pull, through ARM


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
async def test_a_policy_is_ended_through_arm_where_the_data_plane_keeps_us_out(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    plane.kept_out = "AuthorizationFailure"

    executed = await execution(action, service)

    assert (await reading(action, service)).state is PolicyState.TOMBSTONE
    assert executed.notes == ("It was changed through ARM, since the data plane can't be reached.",)
    [request] = plane.of("PATCH")
    assert request.headers["x-ms-correlation-request-id"] == ID


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
async def test_other_policies_survive_the_way_through_arm(
    action: StoredPolicyAction, plane: AclPlane, service: Service
) -> None:
    before = from_xml(resource(plane, service).document)
    plane.kept_out = "AuthorizationFailure"

    await execution(action, service)

    after = from_xml(resource(plane, service).document)
    assert [policy.version for policy in after[::2]] == [policy.version for policy in before[::2]]


@pytest.mark.parametrize("service", [Service.TABLE, Service.FILE])
@pytest.mark.parametrize("failure", [(503, "ServerBusy"), RESET], ids=str)
async def test_an_answer_of_arm_s_that_is_lost_is_settled_by_reading(
    action: StoredPolicyAction, plane: AclPlane, service: Service, failure: tuple[int, str] | AzureError
) -> None:
    plane.kept_out = "AuthorizationFailure"
    plane.meanwhile = [Happening("PATCH", failure, after=True)]

    executed = await execution(action, service)

    assert executed.confirmed_by == "listing"
    assert len(plane.of("PATCH")) == 1


async def test_arm_is_asked_to_change_once(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.kept_out = "AuthorizationFailure"
    read = await reading(action, Service.FILE)
    plane.meanwhile = [Happening("PATCH", (500, "InternalError"))]

    with pytest.raises(TransientFailure):
        await execution(action, Service.FILE, read=read)

    assert len(plane.of("PATCH")) == 1


async def test_a_silence_of_arm_s_has_an_end(
    action: StoredPolicyAction, plane: AclPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.kept_out = "AuthorizationFailure"
    read = await reading(action, Service.TABLE)
    monkeypatch.setattr(arm, "_UPDATE_TIMEOUT", 0.05)
    monkeypatch.setattr(TableOperations, "update", silent)

    with pytest.raises(TransientFailure, match="got no answer within"):
        await execution(action, Service.TABLE, read=read)


async def test_an_answer_of_arm_s_of_another_shape_is_no_state(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.kept_out, plane.arm_says = "AuthorizationFailure", {"properties": {"signedIdentifiers": [{}]}}

    with pytest.raises(TransientFailure, match="not of the documented shape"):
        await reading(action, Service.TABLE)


# the proof tokens, tried meanwhile


async def test_a_token_that_is_answered_before_the_pull_was_accepted_before(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    read = await reading(action)
    tokens = action.mint(samples.account(), read, key=KEY)

    executed = await execution(action, read=read, tokens=tokens)

    assert executed.verification_tokens == (replace(tokens[0], accepted_before=True),)


async def test_a_token_that_can_t_be_tried_spares_no_policy(
    action: StoredPolicyAction, plane: AclPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Verifier, token: VerificationToken) -> VerificationToken:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(Verifier, "try_before", broken)
    read = await reading(action)
    tokens = action.mint(samples.account(), read, key=KEY)

    assert (await execution(action, read=read, tokens=tokens)).verification_tokens == tokens
    assert acl(plane)[1] == BURIED


# bury


async def bury(action: StoredPolicyAction, service: Service = Service.BLOB) -> str:
    return await action.bury(target(service), samples.account(), await reading(action, service), key=KEY)


@pytest.mark.parametrize(
    ("service", "kept_out"),
    [
        *((service, "") for service in SERVICES),
        (Service.TABLE, "AuthorizationFailure"),
        (Service.FILE, "AuthorizationFailure"),
    ],
)
async def test_a_policy_that_is_gone_is_left_a_tombstone(
    action: StoredPolicyAction, plane: AclPlane, service: Service, kept_out: str
) -> None:
    resource(plane, service).acl, plane.kept_out = list(OTHERS), kept_out

    said = await bury(action, service)

    assert said.startswith("A tombstone was left for the stored access policy 'partners'")
    assert (await reading(action, service)).state is PolicyState.TOMBSTONE
    assert len(acl(plane, service)) == 3


async def test_five_policies_leave_no_room_for_a_tombstone(action: StoredPolicyAction, plane: AclPlane) -> None:
    resource(plane).acl = [written("", policy=str(number)) for number in range(5)]

    assert "there are 5 other policies" in await bury(action)
    assert plane.of("PUT") == []


async def test_where_there_is_no_container_there_is_no_tombstone(action: StoredPolicyAction, plane: AclPlane) -> None:
    plane.resources.clear()

    assert "what it was on is not there either" in await bury(action)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (BURIED, "There is a tombstone"),
        (written("<Expiry>2026-01-01</Expiry>"), "No tombstone is needed"),
    ],
)
async def test_what_refuses_every_token_needs_no_burial(
    action: StoredPolicyAction, plane: AclPlane, there: str, said: str
) -> None:
    resource(plane).acl = [there]

    assert (await bury(action)).startswith(said)
    assert plane.of("PUT") == []


async def test_a_policy_that_is_live_again_is_not_buried(action: StoredPolicyAction, plane: AclPlane) -> None:
    with pytest.raises(TransientFailure, match="there again and live") as failed:
        await bury(action)

    assert failed.value.had_no_effect
    assert acl(plane)[1] == LIVE


async def test_a_policy_made_anew_while_it_is_buried_is_left_alone(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    def others() -> None:
        resource(plane).acl.append(LIVE)
        resource(plane).changed = plane.now

    resource(plane).acl = list(OTHERS)
    plane.meanwhile = [Happening("PUT", do=others)]

    with pytest.raises(TransientFailure, match="there again and live"):
        await bury(action)


# prove


async def executed(action: StoredPolicyAction, service: Service = Service.BLOB) -> Execution:
    read = await reading(action, service)
    tokens = action.mint(samples.account(), read, key=KEY)
    return await execution(action, service, read=read, tokens=tokens)


async def verify(
    action: StoredPolicyAction, done: Execution, *, key: AccountKey = KEY, secondary: bool = False
) -> Verification:
    return await action.verify(done, samples.account(secondary=secondary), key=key)


@pytest.mark.parametrize("service", SERVICES)
async def test_an_ended_policy_is_proven_dead(action: StoredPolicyAction, service: Service) -> None:
    verification = await verify(action, await executed(action, service), secondary=True)

    assert verification.outcome is Outcome.PROVEN
    assert "is a tombstone, whose end is in the past" in verification.evidence[0]
    assert (
        "was accepted before (its signature was found good) and refused 3 times on fresh connections"
        in verification.evidence[1]
    )
    assert "a token without the policy, signed by the same key, is accepted" in verification.evidence[1]


async def test_a_policy_that_was_deleted_is_proven_dead(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await executed(action)
    resource(plane).acl = list(OTHERS)

    verification = await verify(action, done)

    assert verification.outcome is Outcome.PROVEN
    assert "is gone" in verification.evidence[0]


async def test_a_policy_whose_end_was_moved_into_the_past_is_proven_dead(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    done = await executed(action)
    resource(plane).acl = [written("<Expiry>2026-01-01</Expiry>")]

    verification = await verify(action, done)

    assert verification.outcome is Outcome.PROVEN
    assert "is expired" in verification.evidence[0]


@pytest.mark.parametrize("there", [LIVE, written("<Permission>w</Permission>")])
async def test_a_policy_that_is_there_again_is_alive(action: StoredPolicyAction, plane: AclPlane, there: str) -> None:
    done = await executed(action)
    resource(plane).acl = [there]

    assert (await verify(action, done)).outcome is Outcome.STILL_ALIVE


async def test_a_copy_that_lags_keeps_the_proof_open(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await executed(action)
    plane.copy["blob/models"] = [LIVE]

    verification = await verify(action, done, secondary=True)

    assert (verification.outcome, verification.accepted) == (Outcome.PENDING, True)
    assert "blob (secondary): a token of the policy is still accepted." in verification.evidence


async def test_a_key_that_is_no_longer_accepted_proves_nothing(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await executed(action)
    plane.keys = {"key2": KEYS["key2"]}

    with pytest.raises(TransientFailure, match="the key is not accepted"):
        await verify(action, done)


async def test_a_refusal_that_its_control_shares_proves_nothing(action: StoredPolicyAction, plane: AclPlane) -> None:
    done = await executed(action)
    refused = [Happening("GET", (403, "AuthenticationFailed")) for _ in range(4)]
    plane.meanwhile = [Happening("GET"), *refused]  # the list can be read

    verification = await verify(action, done)

    assert done.verification_tokens[0].accepted_before is True
    assert verification.outcome is Outcome.PENDING


async def test_after_a_rotation_the_proof_goes_by_the_key_as_it_is_now(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    done = await executed(action)
    fresh = samples.key("rotated")
    plane.keys["key1"] = fresh

    verification = await verify(action, done, key=AccountKey(fresh, None))

    assert verification.outcome is Outcome.PROVEN
    assert "accepted before" not in verification.evidence[1]


async def test_a_policy_that_still_accepts_is_not_passed_off_as_dead_by_a_rotated_key(
    action: StoredPolicyAction, plane: AclPlane
) -> None:
    """The token that was minted before the rotation would be refused, for its key's sake."""
    done = await executed(action)
    fresh = samples.key("rotated")
    plane.keys["key1"] = fresh
    plane.copy["blob/models"] = [LIVE]

    verification = await verify(action, done, key=AccountKey(fresh, None), secondary=True)

    assert verification.accepted


@pytest.mark.parametrize(("after", "outcome"), [(1, Outcome.PENDING), (180, Outcome.ARM_ONLY)])
@pytest.mark.parametrize("service", [Service.BLOB, Service.FILE])
async def test_a_firewall_does_not_pass_for_a_dead_policy(
    action: StoredPolicyAction, plane: AclPlane, service: Service, after: int, outcome: Outcome
) -> None:
    done = await executed(action, service)
    plane.kept_out = "AuthorizationFailure"
    plane.now += timedelta(seconds=after)

    assert (await verify(action, done)).outcome is outcome


async def test_what_is_proven_is_told_without_a_token(action: StoredPolicyAction, plane: AclPlane) -> None:
    verification = await verify(action, await executed(action))

    assert "sig=" not in repr(verification)
    assert not any(signature in repr(verification) for signature in signatures(plane.requests))


def signatures(requests: list[HttpRequest]) -> list[str]:
    found = [parse_qs(urlsplit(request.url).query).get("sig", [""])[0] for request in requests]
    return [signature for signature in found if signature]
