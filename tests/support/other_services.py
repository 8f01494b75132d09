"""Texts with credentials of other Azure services (`tests/unit/sas/test_foreign.py` has their sources)."""

import base64

from shared.domain.other_service import OtherServiceCredential
from shared.sas import OtherService, foreign_credentials

_KEY = base64.b64encode(bytes((i * 37 + 11) % 256 for i in range(64))).decode()

COSMOS = f"AccountEndpoint=https://x.documents.azure.com:443/;AccountKey={_KEY};"

[_found] = foreign_credentials(COSMOS)
COSMOS_KEY = OtherServiceCredential(OtherService.COSMOS_DB, _found.sha256)
"""What `COSMOS` holds."""
