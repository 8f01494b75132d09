"""Errors of the storage services, in the shape of each ("Status and error codes", REST of Azure Storage)."""

import json
import uuid
from xml.sax.saxutils import escape

from local.memory.exchange import Answer


class ServiceError(Exception):
    """A request that a service refuses, with its status and code."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or f"The request was refused: {code}."

    def answer(self, service: str) -> Answer:
        """The answer of `service`: the table service says its code in the body alone."""
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
    """Return the error for a use that this model does not know, so that it is seen."""
    return ServiceError(501, "NotImplemented", f"The storage in memory does not know {what}.")
