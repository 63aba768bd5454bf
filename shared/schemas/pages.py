"""Routes for browsers: a page, and what it is made of. They hold no data, and are open to everybody."""

from __future__ import annotations

from typing import Final

from shared.schemas.queries import NoQuery
from shared.schemas.routing import ANY, FILE, HTML, Answer, Route

_STATIC_HEADERS: Final = {"ETag": "The file's version", "Content-Security-Policy": "What a browser may do with it"}
DASHBOARD: Final = Route(
    name="dashboard",
    path="dashboard",
    summary="The fleet for people who would rather look: a page that calls this API as whoever looks at it",
    group="dashboard",
    query=NoQuery,
    roles=(),
    answers=(Answer(model=str, says="The page", media_type=HTML, headers=_STATIC_HEADERS),),
)
DASHBOARD_FILE: Final = Route(
    name="dashboard_file",
    path=f"dashboard/{{{FILE}}}",
    summary="What the page is made of: scripts, style sheets, its icon",
    group="dashboard",
    query=NoQuery,
    roles=(),
    answers=(Answer(model=str, says="The file", media_type=ANY, headers=_STATIC_HEADERS),),
)
