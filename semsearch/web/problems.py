"""Errors as problem documents (RFC 9457).

Deliberately not here: which errors there are (`semsearch.errors`).
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response

from semsearch.errors import (
    IndexCorrupt,
    IndexLocked,
    IndexMissing,
    IndexTooNew,
    InputError,
    ModelMismatch,
    ModelUnavailable,
    SemsearchError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

__all__ = ["MEDIA_TYPE", "problem", "status_of", "told_as_problem"]

MEDIA_TYPE = "application/problem+json"
_STATUS: dict[type[SemsearchError], int] = {
    InputError: 400,
    IndexLocked: 503,
    IndexMissing: 503,
    IndexCorrupt: 503,
    IndexTooNew: 503,
    ModelMismatch: 503,
    ModelUnavailable: 503,
}


def status_of(error: SemsearchError) -> int:
    """The status that tells of an error: 400 for what the asker can mend, 503 for what the one who serves can."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


async def told_as_problem(_: Request, error: Exception) -> Response:
    """Starlette's handler of an `HTTPException`."""
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), error.headers)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that tells what is wrong, and what to do."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    extra = dict(headers or {})
    if status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra.setdefault("Retry-After", "1")
    return Response(json.dumps(document), status, extra, MEDIA_TYPE)
