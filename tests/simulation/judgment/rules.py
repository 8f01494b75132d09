"""The rules that a run is judged by."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """What must be true after every run."""

    KEYS = "no key rotated twice, none but the leaked, the second by a person"
    NEW_KEYS = "no key rotated that a person had made, and nobody leaked"
    SILENT_ROTATIONS = "each rotation in a record, whatever was refused after it"
    UNNOTED = "each action in a record, though the lock could not name its leak"
    CRASHED_ROTATIONS = "each rotation in a record, though its containment crashes each time after it"
    LEAKS = "no leak lost, none left valid"
    ONE_RECORD = "one record decides on a secret, whatever hosts its reports name"
    RETRIED = "no leak left valid by a refusal that is over"
    VANISHED = "no leak given up, and no rotation forgotten, for an account that ARM did not find for a while"
    NOTIFIED_OF_REFUSALS = "people notified of a refusal at once"
    OWN_STORAGE = "no record concluded by an error of our own storage"
    BY_HAND = "a leak that people have revoked is revoked by its record"
    POLICIES = "no policy ended but the leaked, none in force that a record calls revoked"
    PUT_BACK = "a policy that was put back after its end is ended again"
    PUT_BACK_REVOKED = "a policy that was put back after Sasquash had ended it is ended again"
    DELEGATION = "delegation keys revoked only as people or Azure have it"
    ORDERS = "no order run by fewer than two people"
    LOCKDOWNS = "an account is locked down as its records say, and as it was once that is undone"
    VAULTS = "the secret of its consumers holds the new key"
    INCIDENTS = "one incident a record"
    MAILS = "each state notified, and once"
    MAILS_BY_OTHER_CLOCKS = "each state notified once, whatever hosts' clocks say"
    OWNERS = "owners notified of every rotation"
    DEAD_LETTERS = "each dead letter taken in, or kept"
    COUNTED = "each dead letter counted in a record, though our tables refused that for an hour"
    SECRETS = "no credential written down"
    REST = "everything comes to rest"
    FOREIGN_ROWS = "a row that nobody can read stops no account"


@dataclass(frozen=True)
class Violation:
    """A rule that a run has broken, in words."""

    rule: Rule
    text: str
