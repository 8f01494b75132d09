"""The mail: what its reader needs, and nothing that could hurt."""

import re
from dataclasses import fields
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.message import Message
from shared.domain.revocation import Owner
from shared.domain.target import ActionKind
from shared.followup.briefing.model import Briefing, TimelineEntry
from shared.followup.mail.compose import compose
from tests.support.briefings import RECEIVED, SECURITY, STATES, briefing

_OWNER = "model-owner@contoso.com"
_HOSTILE = '<img src=x onerror=alert(1)><a href="https://evil.example">click</a>"\'&`</table><script>'
_ALLOWED_TAGS = frozenset(
    {"html", "head", "meta", "title", "body", "table", "tr", "td", "div", "h1", "h2", "p", "ul", "ol", "li"}
    | {"code", "pre", "br"}
)


def _mail(changed: Briefing | None = None) -> Message:
    return compose(changed or briefing(), to=[_OWNER], security_mailbox=SECURITY)


def _as_text(message: Message) -> str:
    """What is left of the mail for a reader without HTML: tags dropped, entities read, blank lines gone."""
    body = message.html.split("<body", 1)[1].split(">", 1)[1]
    lines = unescape(re.sub(r"<[^>]*>", "", body)).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_subject_carries_severity_what_account_state_and_c3id() -> None:
    assert _mail().subject == (
        "[CRITICAL] Leaked account SAS of storage account robustmodels: verified revoked [Zm9vYmFyYmF6cXV4MTIz]"
    )


def test_news_comes_before_all_that_was_known() -> None:
    text = _as_text(compose(briefing(), to=[], security_mailbox=SECURITY, news="The logs show 3 <reads>."))

    assert text.index("The logs show 3 <reads>.") < text.index("What leaked")


def test_each_state_has_a_subject_of_its_own() -> None:
    assert len({_mail(briefing(state=state)).subject for state in STATES}) == len(STATES)


def test_a_subject_is_one_short_line_however_hostile_its_parts() -> None:
    hostile = "x\r\nBcc: eve@evil.example\u202e" * 40
    subject = _mail(briefing(account=hostile, severity=hostile, c3id=hostile, kind=hostile)).subject
    assert subject.isprintable()
    assert len(subject) <= 200


def test_owners_are_addressed_and_security_gets_a_copy() -> None:
    message = _mail()
    assert (message.to, message.cc) == ((_OWNER,), (SECURITY,))
    assert message.recipients == (_OWNER, SECURITY)


def test_without_owners_the_security_mailbox_is_addressed() -> None:
    message = compose(briefing(), to=[], security_mailbox=SECURITY)
    assert (message.to, message.cc) == ((SECURITY,), ())


def test_an_owner_that_is_the_security_mailbox_gets_one_mail() -> None:
    message = compose(briefing(), to=[SECURITY.upper()], security_mailbox=SECURITY)
    assert message.recipients == (SECURITY,)


def test_the_mail_reads_as_text_without_its_tags() -> None:
    assert (
        _as_text(_mail())
        == """\
CRITICAL: verified revoked
The leaked account SAS of storage account robustmodels is verified revoked. \
Everything else that used key2 stopped working. See below how to recover.
What leaked
Credential: account SAS
Account: robustmodels
Key: key2
Host in the leak: robustmodels[.]blob[.]core[.]windows[.]net
Valid until: 2051-10-06 00:00:00 UTC
Reported by: github
Found at (not a link): hxxps://github[.]com/contoso/robust-models/blob/4c1be9d/README.md#L14
Detected: 2026-11-21 02:57:43 UTC
Received: 2026-11-21 02:58:03 UTC
Resource: /subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourceGroups/research\
/providers/Microsoft.Storage/storageAccounts/robustmodels
Secret ID (C3ID): Zm9vYmFyYmF6cXV4MTIz
Permissions
Anyone could read, write and delete everything in the account until 2051.
Severity: CRITICAL, because
It opens the whole account.
Also:
It allowed plain http.
Action and verification
State: proven
Action: key2 was regenerated 2.1 s after the event arrived.
Verification: A token of our own was accepted before and refused 6 times after.
Impact and recovery
Every SAS and connection string made with key2.
Update every client that used the old key. This command prints the new key:
az storage account keys list --subscription 3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33 --resource-group research \
--account-name robustmodels --query "[?keyName=='key2'].value" --output tsv
What to do now
Remove it from the README: git rm README.md
Open items:
Usage is unknown: the account has no logs.
Timeline (seconds since Sasquash received it)
2026-11-21 02:58:03 UTC: event arrived (+0.0 s)
2026-11-21 02:58:05 UTC: key2 regenerated (+2.1 s)
Notified
Model Owner, model-owner@contoso.com (tag sasquash-owner on the account)
security@contoso.com (security mailbox)
Sent by Sasquash. This mail contains no credential. Do not include one in a reply.
Finding fingerprint: abababababababababababababababababababababababababababababababab"""
    )


@pytest.mark.parametrize("state", ["observed", "awaiting_approval", "unresolved", "failed"])
def test_what_to_do_comes_first_while_the_credential_works(state: str) -> None:
    text = _as_text(_mail(briefing(state=state)))
    assert text.index("What to do now") < text.index("What leaked")


@pytest.mark.parametrize("state", ["observed", "awaiting_approval", "failed"])
def test_active_credential_comes_with_the_command_that_revokes_it(state: str) -> None:
    text = _as_text(_mail(briefing(state=state)))
    assert "az storage account keys renew" in text
    assert "keys list" not in text


@pytest.mark.parametrize("state", ["proven", "failed"])
def test_no_key_command_is_given_for_a_token_of_a_stored_policy(state: str) -> None:
    policy = briefing(state=state, policy="partners", action=ActionKind.STORED_POLICY, target="blob/models/partners")
    assert "az storage account keys" not in _as_text(_mail(policy))


def test_ineffective_revocation_shows_how_to_print_the_new_key_and_not_how_to_regenerate_it() -> None:
    text = _as_text(_mail(briefing(state="failed", reason="still_alive")))
    assert text.count("az storage account keys list") == 1
    assert "To revoke it manually" not in text


def test_dismissed_report_has_no_impact() -> None:
    assert "Impact" not in _as_text(_mail(briefing(state="dismissed", reason="expired")))


def test_the_reason_is_explained() -> None:
    text = _as_text(_mail(briefing(state="unresolved", reason="no_key_matches")))
    assert "Reason: No current key of the account signed it." in text


def test_a_live_credential_without_known_steps_is_never_nothing_to_do() -> None:
    text = _as_text(_mail(briefing(state="unresolved", next_steps=(), key_name=None)))
    assert "Contact the security team now." in text


def test_the_deadline_of_an_approval_is_shown() -> None:
    text = _as_text(_mail(briefing(state="awaiting_approval", deadline=RECEIVED + timedelta(hours=4))))
    assert "Decide by: 2026-11-21 06:58:03 UTC" in text


def test_without_owners_the_reader_learns_how_to_name_one() -> None:
    assert "a tag such as sasquash-owner" in _as_text(_mail(briefing(owners=())))


def test_a_long_list_is_cut_and_says_so() -> None:
    text = _as_text(_mail(briefing(notes=tuple(f"note {number}." for number in range(30)))))
    assert "note 19." in text
    assert "note 20." not in text
    assert "and 10 more" in text


def _hostile_briefing(text: str, state: str) -> Briefing:
    """The sample with `text` in every field that could come from outside."""
    kept = {"state", "expires", "detected_at", "received_at", "deadline", "timeline", "owners", "group"}
    changes: dict[str, object] = {"timeline": (TimelineEntry(RECEIVED, text),), "owners": (Owner(text, text, text),)}
    for field in fields(Briefing):
        if field.name not in kept:
            old = getattr(briefing(), field.name)
            changes[field.name] = (text, text) if isinstance(old, tuple) else text
    return briefing(state=state, **changes)


@pytest.mark.parametrize("state", STATES)
def test_markup_in_any_field_stays_text(state: str) -> None:
    page = _Tags(_mail(_hostile_briefing(_HOSTILE, state)).html)
    assert page.tags <= _ALLOWED_TAGS
    assert not {name for name in page.attributes if name.startswith("on")}


@given(
    st.text(alphabet=st.sampled_from("<>&\"'`/=:.aAhHtTpPsSiIgG\\ \u202e\u0000\n"), max_size=80),
    st.sampled_from(STATES),
)
def test_no_field_can_bring_markup_or_a_link(text: str, state: str) -> None:
    html = _mail(_hostile_briefing(text, state)).html
    assert _Tags(html).tags <= _ALLOWED_TAGS
    assert not re.search(r"https?://|www\.", unescape(html), re.IGNORECASE)


def test_the_mail_loads_nothing_and_links_nowhere() -> None:
    page = _Tags(_mail().html)
    assert page.tags <= _ALLOWED_TAGS
    assert not page.attributes & {"href", "src", "background", "action"}


@pytest.mark.parametrize(
    ("before", "secret"),
    [
        ("sv=2021-08-06&ss=b&srt=sco&sp=rwdl&sig=", "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdE%2FG%3D"),
        ("", "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfG="),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=", "A" * 86 + "=="),
        ("", "A" * 86 + "=="),
    ],
)
@pytest.mark.parametrize("state", STATES)
def test_a_secret_in_any_field_does_not_reach_the_mail(before: str, secret: str, state: str) -> None:
    message = _mail(_hostile_briefing(before + secret, state))
    assert secret not in unescape(message.html)
    assert secret not in message.subject


def test_reporter_is_named_with_the_reason() -> None:
    text = _as_text(_mail(briefing(reported_by="Ravn <b>", reported_because="Found in a wiki, www.evil.example")))
    assert "Reported by: Ravn <b>, github" in text
    assert "Reason: Found in a wiki, www[.]evil.example" in text


def test_order_is_not_shown_as_a_leak() -> None:
    text = _as_text(_mail(briefing(ordered=True, kind="order by a responder")))
    assert "What was ordered" in text
    assert "What leaked" not in text
    assert "Secret ID" not in text


def test_usage_stands_between_permissions_and_action() -> None:
    text = _as_text(_mail(briefing(used=("WRITTEN to what runs.", "It was used 12 times."))))

    allowed, used, done = (
        text.index(title) for title in ("Permissions", "Usage\nWRITTEN to what runs.", "Action and")
    )
    assert allowed < used < done


def test_only_link_leads_to_the_record_in_the_console_of_the_settings() -> None:
    mail = compose(briefing(), to=[_OWNER], security_mailbox=SECURITY, console="https://app.example/api/desk")

    links = re.findall(r'href="([^"]+)"', mail.html)
    assert links == [f"https://app.example/api/desk#/record/{briefing().fingerprint}"]
    assert f"Open in the console: {links[0]}" in _as_text(mail)


def test_a_hostile_record_does_not_change_where_the_link_leads() -> None:
    hostile = briefing(source='x"><a href="https://evil.example">', account="https://evil.example")

    mail = compose(hostile, to=[_OWNER], security_mailbox=SECURITY, console="https://app.example/api/desk")

    assert all(link.startswith("https://app.example/") for link in re.findall(r'href="([^"]+)"', mail.html))
