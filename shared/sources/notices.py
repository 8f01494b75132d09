"""What other tools post about a secret that they keep to themselves: the bodies of their webhooks, as documented.

- GitGuardian, "Custom webhook" (docs.gitguardian.com), payload structure: `source` is "GitGuardian"; `incident` has
  hashes of the secret (`secret_hash`, `hmsl_hash`) and a link, `occurrence` has `filepath` and `url`, and no line.
- HCP Vault Radar, "Webhook payloads" (developer.hashicorp.com): `event_id` and `data_source`; `event_details` has
  `repo_file_path` and `commit_hash`, and no line; `links` has `data_source_provider_link`.
- Wiz, the default body of an automation action (AxtonGrams/terraform-provider-wiz, examples; panther-labs/
  panther-analysis, rules/wiz_rules, `Wiz.IssuesWebhook`): `trigger`, `issue`, `resource` and `control`.

None has a secret, or a place that can be read: no file with its lines. But the body of Wiz is a template, to which
people may add what they like, so all of its text is searched.
"""

from collections.abc import Iterator, Mapping

from shared.sources.entries import Entry, Text, object_of, text_of


def notice(body: object) -> Entry | None:
    """Return the entry of a notice of a tool, None where `body` is no such notice."""
    if not isinstance(body, Mapping):
        return None
    if body.get("source") == "GitGuardian" and "incident" in body:
        occurrence = object_of(body, "occurrence")
        return Text("", url=text_of(occurrence, "url") or text_of(occurrence, "filepath"), masked=True)
    if "event_id" in body and isinstance(body.get("data_source"), Mapping):
        link = text_of(object_of(body, "links"), "data_source_provider_link")
        return Text("", url=link or text_of(object_of(body, "event_details"), "repo_file_path"), masked=True)
    if isinstance(body.get("issue"), Mapping) and isinstance(body.get("trigger"), Mapping):
        resource = object_of(body, "resource")
        url = text_of(resource, "cloudProviderURL") or text_of(resource, "name")
        return Text("\n".join(_texts(body)), url=url)
    return None


def _texts(value: object) -> Iterator[str]:
    """Yield the strings of a JSON value, however deep, in their order."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as fields:
                waiting += reversed(fields.values())
            case list() as items:
                waiting += reversed(items)
