"""Where a listing goes on, as text that callers hand back: opaque to them, and believed only if it is one of ours."""

import base64
import binascii
from dataclasses import dataclass

import msgspec

from shared.domain.states import State
from shared.errors import InvalidRequest
from shared.persistence.state_index import is_key

_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class _Place:
    state: State | None
    key: str


def written(key: str, *, of: State | None) -> str:
    """Return as URL-safe text that the listing `of` a state (None: of all) goes on after the index's row `key`."""
    return base64.urlsafe_b64encode(msgspec.json.encode(_Place(of, key))).decode().rstrip("=")


def read(text: str, *, of: State | None) -> str:
    """Return the key that `written` wrote for the same listing. Raises InvalidRequest for anything else."""
    if len(text) > _LONGEST or not text.isascii():
        raise _not_ours()
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = msgspec.json.decode(decoded, type=_Place)
    except (binascii.Error, msgspec.DecodeError):
        raise _not_ours() from None
    if place.state is not of or not is_key(place.key) or written(place.key, of=of) != text:
        raise _not_ours()
    return place.key


def _not_ours() -> InvalidRequest:
    return InvalidRequest("after: not a place that an earlier page named as the next one")
