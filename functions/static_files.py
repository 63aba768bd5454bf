"""The files of the dashboard, as they are served: by name out of a list, and never by a path that a caller wrote.

They are the same for everybody and hold no secret, so that they are open to everybody; the data comes from the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

from msgspec import Struct

from functions.edge import Reply
from shared.errors import NotFound
from shared.schemas.versions import etag_of_bytes, is_known

FOLDER: Final = Path(__file__).with_name("static")
PAGE: Final = "index.html"
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""What is served; files of other kinds in the folder are not."""
_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",  # a text that would be read as HTML is refused by the browser itself
    "trusted-types 'none'",
)
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache",  # kept, and asked for again each time: a page and its scripts are of one version
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class StaticFile(Struct, frozen=True):
    """A file, ready to be sent."""

    content: bytes
    media_type: str
    etag: str


@cache
def static_files(folder: Path = FOLDER) -> Mapping[str, StaticFile]:
    """Every file that is served, by its name; read at the first request."""
    paths = [path for path in folder.iterdir() if path.suffix in MEDIA_TYPES and path.is_file()]
    return {path.name: _read(path) for path in paths}


def static_reply(name: str, if_none_match: str | None) -> Reply:
    """The file, or that the caller has it already. Raises: NotFound."""
    file = static_files().get(name)
    if file is None:
        raise NotFound("file", name)
    headers = {**_HEADERS, "ETag": file.etag}
    if is_known(if_none_match, file.etag):
        return Reply(b"", HTTPStatus.NOT_MODIFIED, headers, file.media_type)
    return Reply(file.content, headers=headers, media_type=file.media_type)


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    return StaticFile(content, MEDIA_TYPES[path.suffix], etag_of_bytes(content))
