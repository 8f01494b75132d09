"""SAS in use: how they are rated, ordered and shown."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.sas import Credential, Kind, assess
from shared.watch.uses import ordered, resource_of, url_of, use_of
from tests.support.logged_tokens import END, FOR_EVER, account_token, container_token, digest_of, logged
from tests.support.samples import ACCOUNT, NOW


def test_token_until_2051_is_rated_as_a_leak_of_it_would_be() -> None:
    token = account_token()
    use = use_of(logged(token))

    assert use is not None
    risk = assess(use.credential, now=NOW)
    assert (use.credential.ends, risk.severity) == (FOR_EVER, "critical")
    assert END in risk.grants
    assert resource_of(use.credential) is None


def test_use_is_named_by_its_account_and_its_signature() -> None:
    token = account_token()

    uses = [use_of(logged(token)), use_of(logged(token, account="elsewhere"))]

    assert [use.id for use in uses if use] == [f"{ACCOUNT}.{digest_of(token)}", f"elsewhere.{digest_of(token)}"]


def test_urls_without_a_token_are_skipped_and_none_is_no_use() -> None:
    token = container_token()
    [url] = logged(token).urls

    found = use_of(logged(token, urls=("https://evil.example", "", url)))
    assert found is not None
    assert found.credential.kind is Kind.SERVICE_SAS
    assert use_of(logged(token, urls=("https://evil.example", ""))) is None


def test_worst_comes_first_and_what_was_never_accepted_last() -> None:
    """A token without an end of its own, as under a stored access policy, may never end."""
    small, longer = logged(container_token(days=2)), logged(container_token(days=3))
    worst, forged = logged(account_token()), logged(account_token(signed_by="key2"), accepted=0)
    policy = logged(container_token(policy_id="partners"))

    uses = [use for each in (forged, small, policy, longer, worst) if (use := use_of(each)) is not None]

    assert [use.logged for use in ordered(uses, now=NOW)] == [policy, worst, longer, small, forged]


def test_order_is_that_of_the_ids_where_nothing_else_differs() -> None:
    uses = [use for name in ("zz1", "aa1") if (use := use_of(logged(account_token(name), account=name))) is not None]

    assert [use.logged.account for use in ordered(uses, now=NOW)] == ["aa1", "zz1"]


def test_signed_resource_is_shown() -> None:
    use = use_of(logged(container_token()))

    assert use is not None
    assert resource_of(use.credential) == "models"


@given(st.text(max_size=3000), st.text(alphabet="&=?#<>'\"/ sig%AB", max_size=200))
def test_url_is_built_of_encoded_parts_and_has_no_signature(path: str, policy: str) -> None:
    token = container_token(policy_id="x")
    shown = logged(token)
    use = use_of(shown)
    assert use is not None
    try:
        credential = Credential(
            Kind.POLICY_SAS,
            "x.blob.core.windows.net",
            path,
            (("si", policy), ("sr", "c"), ("sv", "2020-12-06")),
            "ab" * 32,
            None,
        )
    except ValueError:
        return

    url = url_of(credential)

    assert url.startswith("https://x.blob.core.windows.net/")
    assert len(url) <= 2048
    assert not set(url) & set("<>'\" \n")
    assert "sig=" not in url.replace("sig=REDACTED", "")


def test_expired_token_is_low() -> None:
    use = use_of(logged(account_token(expiry=NOW - timedelta(days=1))))

    assert use is not None
    assert assess(use.credential, now=NOW).severity == "low"
