"""A principal of the tenant and its rights."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Identity:
    """A principal of the tenant and everything it is allowed to do.

    `rights` holds, in one flat set: ARM actions ("Microsoft.Storage/storageAccounts/listkeys/action"), Graph app
    roles ("Mail.Send"), "EventGrid/events/send", storage data roles ("Storage Table Data Contributor@<account>", or
    "…@<account>/<queue>" for one queue or container), the app roles of Sasquash's own API ("Sasquash.Reader"), and
    roles of Entra ID ("Directory/SharePoint Administrator"). A right that ends in "/*" or "@*" covers every right
    with that prefix.
    """

    name: str
    object_id: str
    client_id: str
    rights: frozenset[str]
    used: set[str] = field(default_factory=set, compare=False, repr=False)  # rights that authorized a request

    def may(self, right: str) -> bool:
        """Return whether it holds `right`, and add the right that covers it to `used`."""
        wanted = right.lower()
        for held in self.rights:
            if wanted == held.lower() or (held.endswith(("/*", "@*")) and wanted.startswith(held[:-1].lower())):
                self.used.add(held)
                return True
        return False
