"""GitLab: the report of its secret detection (`gl-secret-detection-report.json`).

gitlab.com/gitlab-org/security-products/security-report-schemas, secret-detection-report-format: `vulnerabilities[]`
with `raw_source_code_extract` (what leaked), `location.file`, its lines, and `location.commit.sha`.
"""

from collections.abc import Iterator, Mapping

from shared.sources.entries import Entry, Invalid, InvalidPayload, Text, object_of, text_of
from shared.sources.json_body import parse
from shared.sources.scanner_place import Place, where


def read(body: bytes) -> Iterator[Entry]:
    """Return one entry for each vulnerability. Raises InvalidPayload or InvalidRequest."""
    report = parse(body)
    if not isinstance(report, Mapping) or not isinstance(report.get("vulnerabilities"), list):
        raise InvalidPayload("The body is not a security report of GitLab: it has no `vulnerabilities`.")
    yield from (_entry(one) for one in report["vulnerabilities"])


def _entry(vulnerability: object) -> Entry:
    if not isinstance(vulnerability, Mapping):
        return Invalid("The vulnerability is not an object.")
    location = object_of(vulnerability, "location")
    place = Place.of(
        location.get("file"),
        location.get("start_line"),
        location.get("end_line"),
        commit=object_of(location, "commit").get("sha"),
    )
    url = where(place, file=text_of(location, "file"))
    extract = text_of(vulnerability, "raw_source_code_extract")
    if extract is None:
        return Text("", url=url, place=place, masked=True)
    return Text(extract, url=url, place=place)
