"""Pages of query results: `x-ms-max-item-count` and `x-ms-continuation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from fleetcert.local.dps.errors import bad_request


def page(request: web.Request, items: Sequence[dict[str, Any]], item_type: str) -> web.Response:
    """One page of `items`, with a continuation token where more follow. Raises: Refusal 400."""
    start = _count(request, "x-ms-continuation", 0)
    size = _count(request, "x-ms-max-item-count", len(items)) or len(items)
    headers = {"x-ms-item-type": item_type}
    if start + size < len(items):
        headers["x-ms-continuation"] = str(start + size)
    return web.json_response(list(items[start : start + size]), headers=headers)


def _count(request: web.Request, header: str, default: int) -> int:
    text = request.headers.get(header) or str(default)
    if not text.isdecimal():
        raise bad_request(f"The header {header} is invalid")
    return int(text)
