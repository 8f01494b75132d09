"""The body of a request, which must be whole: for some scanners an empty report means that nothing leaked.

The Functions host passes on a body only if the request has a Content-Length (azure-functions-host,
GrpcMessageConversionExtensions.ToRpcHttp: `request.ContentLength > 0`, and issue 4926). A body in chunks, as
`curl -T -` and streaming clients send it, reaches the app as an empty one, with no other sign than its headers.
"""

import azure.functions as func

from shared.errors import InvalidRequest


class LengthRequired(InvalidRequest):
    """The request has no Content-Length, so that its body did not arrive."""

    code = "length_required"


class IncompleteBody(InvalidRequest):
    """The body has another length than the request says."""

    code = "incomplete_body"


class CompressedBody(InvalidRequest):
    """The body has a Content-Encoding."""

    code = "compressed_body"


def read_body(request: func.HttpRequest) -> bytes:
    """Return the body as it was sent. Raises LengthRequired, IncompleteBody or CompressedBody."""
    body: bytes = request.get_body()
    given = (request.headers.get("content-length") or "").strip()
    is_number = given.isascii() and given.isdigit() and len(given) < 20
    if not is_number or request.headers.get("transfer-encoding"):
        raise LengthRequired(
            "The request has no Content-Length, so its body was not received. Send the body as a whole, not in "
            "chunks: with curl use --data-binary or --json, not -T."
        )
    if int(given) != len(body):
        raise IncompleteBody("The body does not have the length that Content-Length says. Send the request again.")
    if (request.headers.get("content-encoding") or "identity").strip().lower() != "identity":
        raise CompressedBody("The body has a Content-Encoding. Send it uncompressed, without this header.")
    return body
