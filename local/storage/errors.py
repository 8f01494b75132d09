"""Azure Storage's error responses: status, code and body of each service.

Codes and texts: "Common REST API error codes", "Table service error codes" and "Authorize with Microsoft Entra ID"
(learn.microsoft.com/rest/api/storageservices). Texts in which Azure quotes the signature it received leave it out.
"""

import json
import uuid
from email.utils import format_datetime
from xml.sax.saxutils import escape

from starlette.responses import Response

from local.tenant.model import TENANT_ID, now

_AUTHENTICATION_FAILED = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature."
)
_SEE_CHALLENGE = (
    "Server failed to authenticate the request. Please refer to the information in the www-authenticate header."
)
_NOT_AUTHORIZED = "This request is not authorized to perform this operation"

_KNOWN: dict[str, tuple[int, str]] = {
    "AuthenticationFailed": (403, _AUTHENTICATION_FAILED),
    "AuthorizationFailure": (403, f"{_NOT_AUTHORIZED}."),
    "AuthorizationPermissionMismatch": (403, f"{_NOT_AUTHORIZED} using this permission."),
    "AuthorizationSourceIPMismatch": (403, f"{_NOT_AUTHORIZED} using this source IP."),
    "AuthorizationServiceMismatch": (403, f"{_NOT_AUTHORIZED} using this service."),
    "AuthorizationResourceTypeMismatch": (403, f"{_NOT_AUTHORIZED} using this resource type."),
    "InsufficientAccountPermissions": (403, "Write operations are not allowed."),
    "InternalError": (500, "The server encountered an internal error. Please retry the request."),
    "InvalidAuthenticationInfo": (401, _SEE_CHALLENGE),
    "InvalidHeaderValue": (400, "The value for one of the HTTP headers is not in the correct format."),
    "InvalidResourceName": (400, "The specified resource name contains invalid characters."),
    "InvalidXmlDocument": (400, "XML specified is not syntactically valid."),
    "InvalidXmlNodeValue": (400, "The value for one of the XML nodes is not in the correct format."),
    "KeyBasedAuthenticationNotPermitted": (
        403,
        "Key based authentication is not permitted on this storage account.",
    ),
    "NoAuthenticationInformation": (401, _SEE_CHALLENGE),
    "NotImplemented": (501, "The requested operation is not implemented on the specified resource."),
    "PublicAccessNotPermitted": (409, "Public access is not permitted on this storage account."),
    "RequestBodyTooLarge": (413, "The size of the request body exceeds the maximum size permitted."),
    "ResourceNotFound": (404, "The specified resource does not exist."),
    "ServerBusy": (503, "The server is currently unable to receive requests. Please retry your request."),
    "ShareAlreadyExists": (409, "The specified share already exists."),
    "ShareNotFound": (404, "The specified share does not exist."),
    "TableNotFound": (404, "The table specified does not exist."),
}
# As a published log of Storage Explorer has it (github.com/microsoft/AzureStorageExplorer/issues/9050).
_CHALLENGE = (
    "Bearer authorization_uri=https://login.microsoftonline.com/{tenant}/oauth2/authorize "
    "resource_id=https://storage.azure.com"
)
_SERVERS = {
    "blob": "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0",
    "queue": "Windows-Azure-Queue/1.0 Microsoft-HTTPAPI/2.0",
    "table": "Windows-Azure-Table/1.0 Microsoft-HTTPAPI/2.0",
    "file": "Windows-Azure-File/1.0 Microsoft-HTTPAPI/2.0",
}


class Refusal(Exception):
    """The request is refused. `code` is an error code of Azure, `detail` its AuthenticationErrorDetail."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail

    def response(self, service: str, *, accept: str, version: str, tenant: str = TENANT_ID) -> Response:
        """Return the response of `service` of an account of `tenant`.

        `accept` and `version` are the Accept and x-ms-version of the request.
        """
        status, text = _KNOWN[self.code]
        request_id = str(uuid.uuid4())
        moment = now()
        message = f"{text}\nRequestId:{request_id}\nTime:{moment.isoformat().replace('+00:00', 'Z')}"
        headers = {
            "x-ms-request-id": request_id,
            "date": format_datetime(moment, usegmt=True),
            "server": server_name(service),
        }
        if service != "table":  # which has its code only in the body
            headers["x-ms-error-code"] = self.code
        if version:
            headers["x-ms-version"] = version
        if status == 401:
            headers["www-authenticate"] = _CHALLENGE.format(tenant=tenant)
        if service == "table":
            body, media_type = _table_body(self.code, message, accept)
        else:
            detail = self.detail
            inner = f"<AuthenticationErrorDetail>{escape(detail)}</AuthenticationErrorDetail>" if detail else ""
            body = (
                '<?xml version="1.0" encoding="utf-8"?>'
                f"<Error><Code>{self.code}</Code><Message>{escape(message)}</Message>{inner}</Error>"
            )
            media_type = "application/xml"
        return Response(body, status, headers, media_type)


def is_known(code: str) -> bool:
    """Return whether a Refusal can have this code."""
    return code in _KNOWN


def server_name(service: str) -> str:
    """Return the Server header that Azure sends for `service`."""
    return _SERVERS.get(service, "Microsoft-HTTPAPI/2.0")


def _table_body(code: str, message: str, accept: str) -> tuple[str, str]:
    """Return an OData error and its media type: JSON if the client accepts JSON, XML otherwise."""
    if "json" in accept:
        error = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": message}}}
        return json.dumps(error), "application/json;odata=minimalmetadata;streaming=true;charset=utf-8"
    body = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>'
        '<error xmlns="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        f'<code>{code}</code><message xml:lang="en-US">{escape(message)}</message></error>'
    )
    return body, "application/xml"
