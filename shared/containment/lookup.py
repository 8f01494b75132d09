"""Finds the account of a leak, and ends the leaks that need no account."""

from dataclasses import dataclass, replace

from shared.cloud.accounts import AccountRef, Accounts
from shared.cloud.bearer_challenge import BearerChallenge, Tenancy
from shared.containment.verdicts import conclude
from shared.domain import unread_place
from shared.domain.decision.attribution import all_expired
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason
from shared.errors import StillListed
from shared.persistence.store import Store
from shared.sas import Kind
from shared.settings import Settings

_SECOND_LOOKUP = 300.0  # seconds; Resource Graph may lag behind, and an account may have just been made
_STILL_LISTED = "Azure Resource Manager does not find the account, and Azure Resource Graph lists it."
_OF_TENANCY = {
    Tenancy.OTHER: (Reason.NOT_OURS, "The storage account belongs to another tenant: its host says so."),
    Tenancy.OURS: (
        Reason.NOT_COVERED,
        "The storage account is in this tenant, but in no monitored subscription. Revoke the credential by hand. Add "
        "the account's subscription to SASQUASH_SUBSCRIPTIONS and grant the roles there; then report the leak again.",
    ),
    Tenancy.UNKNOWN: (
        Reason.NOT_COVERED,
        "No monitored storage account has this host name, and the host does not say whose it is. Find out. If it is "
        "yours, revoke the credential by hand, and add the account's subscription to SASQUASH_SUBSCRIPTIONS.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLookup:
    """Resolves the account of a leak, by the inventory or Azure."""

    settings: Settings
    store: Store
    accounts: Accounts
    challenge: BearerChallenge

    async def find(self, finding: Finding) -> AccountRef | None:
        """Return the account of a finding, None where there is none. Raises TransientFailure or Blocked.

        Where the host is an address, the path names the account, and each reading may name another one.
        """
        credential, order = finding.credential, finding.order
        if order is not None:
            return await self.accounts.find(self.settings.cloud.blob_host(order.account), order.account)
        if credential is None or credential.host is None or all_expired(finding.readings, now=self.store.clock()):
            return None
        for account in dict.fromkeys(reading.account for reading in finding.readings):
            found = await self.accounts.find(credential.host, account)
            if found is not None:
                return found
        return None

    async def find_again(self, finding: Finding, gone: AccountRef) -> AccountRef | None:
        """Return where an account is that ARM no longer finds: in another resource group, or nowhere.

        Raises StillListed where Resource Graph has it where it was.
        """
        self.accounts.forget(gone)
        moved = await self.find(finding)
        if moved is not None and moved.id == gone.id:
            raise StillListed(
                f"Azure Resource Manager does not find {gone.name}, and Azure Resource Graph lists it. Check whether "
                "it was deleted: then nothing is left to do.",
                cause=_STILL_LISTED,
            )
        return moved

    def known(self, finding: Finding) -> AccountRef | None:
        """Return the account whose lock a new leak will need at once, if it is known without asking Azure.

        Azure is asked about a user delegation SAS before the account is locked: that may take long.
        """
        credential = finding.credential
        if credential is None or credential.host is None or credential.kind is Kind.USER_DELEGATION_SAS:
            return None
        if all_expired(finding.readings, now=self.store.clock()):
            return None
        ref = self.accounts.known(credential.host, credential.account)
        return ref if ref is not None and ref.name not in self.settings.own_accounts else None

    def known_name(self, finding: Finding) -> str | None:
        """Return the name of the monitored account that a finding is about, if it is known without asking Azure."""
        order = finding.order
        if order is not None:
            ref = self.accounts.known(self.settings.cloud.blob_host(order.account), order.account)
            return ref.name if ref is not None else None
        hosts = ((reading.host, reading.account) for reading in finding.readings)
        refs = (self.accounts.known(host, account) for host, account in hosts if host is not None)
        return next((ref.name for ref in refs if ref is not None), None)

    def verdict(self, revocation: Revocation, ref: AccountRef | None) -> Revocation | None:
        """Return the record of a finding that is decided without reading an account, None where one must be read."""
        credential, now = revocation.finding.credential, self.store.clock()
        if revocation.finding.other is not None:
            return revocation.end(Reason.OTHER_SERVICE, now=now, detail=revocation.finding.other.detail)
        if credential is None and revocation.finding.order is None:
            return revocation.end(Reason.MALFORMED, now=now, detail="The report could not be read.")
        over = all_expired(revocation.to_weigh.readings, now=now)
        if over is not None and over.reason is not None:
            return revocation.end(over.reason, now=now, detail=over.detail)
        if credential is not None and credential.host is None:
            detail = "The report names no storage account. Report it again with the account's name or the whole URL."
            unread = unread_place.said(revocation.finding.unread_places)
            return revocation.end(Reason.LOOSE, now=now, detail=f"{detail}{unread}")
        if ref is not None and ref.name in self.settings.own_accounts:
            detail = "The account is Sasquash's own storage, which it never changes. Its shared keys should be off."
            return revocation.end(Reason.OWN_STORAGE, now=now, detail=detail)
        return None

    async def not_found(self, revocation: Revocation, *, why: StillListed | None = None) -> None:
        """Search for the account once more later: Resource Graph lags, and accounts are made while tokens leak.

        `why`: ARM and Resource Graph disagree. Raises it where they still do then.
        """
        store, now = self.store, self.store.clock()
        left = _SECOND_LOOKUP - (now - revocation.waiting_since).total_seconds()
        if revocation.account_lookups == 0:
            what = "No monitored account has this host name; Sasquash checks again in five minutes."
            await store.revocations.save(replace(revocation, account_lookups=1, detail=what), what=what)
            await store.queues.contain(revocation.fingerprint, delay=left if left > 0 else _SECOND_LOOKUP)
        elif left > 0:  # the safety net, or a retry: too early for the second lookup
            await store.queues.contain(revocation.fingerprint, delay=left)
        elif why is not None:
            raise why
        else:
            await conclude(store, await self.without_account(revocation))

    async def without_account(self, revocation: Revocation) -> Revocation:
        """Return the verdict on a leak of an account that is not monitored.

        Only an account of another tenant is certainly not ours. Any other may be in a subscription that is not
        monitored, and a person has to know.
        """
        host = self._host(revocation.finding)
        tenancy = await self.challenge.tenancy(host) if host is not None else Tenancy.UNKNOWN
        reason, detail = _OF_TENANCY[tenancy]
        return revocation.end(reason, now=self.store.clock(), detail=detail)

    def _host(self, finding: Finding) -> str | None:
        if finding.order is not None:
            return self.settings.cloud.blob_host(finding.order.account)
        return finding.credential.host if finding.credential is not None else None
