"""Errors of the storage services in their own shapes ("Status and error codes", REST of Azure Storage)."""

import json
import uuid
from xml.sax.saxutils import escape

from local.memory.exchange import Answer


class ServiceError(Exception):
    """The service refuses a request, with a status and a code."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or f"The request was refused: {code}."

    def answer(self, service: str) -> Answer:
        """Return the response of `service`. The table service has the code only in the body."""
        request_id = str(uuid.uuid4())
        message = f"{self.message}\nRequestId:{request_id}"
        if service == "table":
            error = {"odata.error": {"code": self.code, "message": {"lang": "en-US", "value": message}}}
            headers = {"content-type": "application/json", "x-ms-request-id": request_id}
            return Answer(self.status, headers, json.dumps(error).encode())
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<Error><Code>{self.code}</Code><Message>{escape(message)}</Message></Error>"
        )
        headers = {"content-type": "application/xml", "x-ms-request-id": request_id, "x-ms-error-code": self.code}
        return Answer(self.status, headers, body.encode())


def not_modeled(what: str) -> ServiceError:
    """Return the error for an operation that is not implemented, so that its use is noticed."""
    return ServiceError(501, "NotImplemented", f"The storage in memory does not support {what}.")
