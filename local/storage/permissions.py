"""The letters of `sp` and of the permissions of a stored access policy.

Source: "Create a service SAS", section "Specify permissions": each letter once, in a fixed order. Azure refuses a
policy that has them out of order (azure-sdk-for-net#14456), and a token likewise (azure-storage-node#182).
"""

PERMISSIONS = {"blob": "racwdxyltfmeopi", "queue": "raup", "table": "raud", "file": "rcwdl"}
ACCOUNT_PERMISSIONS = "rwdxylacuptfimeo"
"""Of an account SAS, in any order (azure-rest-api-specs#20141)."""

# The place of x, y, t, f, m, e, o, p and i differs between Microsoft's own libraries, so it is not checked.
_ORDER = {"blob": "racwdl", "queue": "raup", "table": "raud", "file": "rcwdl"}


def are_permissions(text: str, service: str) -> bool:
    """Return whether Azure accepts these permissions on a resource of `service`: known, once each, in order."""
    order = _ORDER.get(service, "")
    places = [order.index(letter) for letter in text if letter in order]
    is_known = set(text) <= set(PERMISSIONS.get(service, ""))
    return is_known and len(set(text)) == len(text) and places == sorted(places)
