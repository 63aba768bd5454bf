"""The REST of one kind of enrollment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from fleetcert.local.dps.attestation import write_attestation
from fleetcert.local.dps.enrollments import Document, Enrollment, Enrollments, identifier
from fleetcert.local.dps.errors import bad_request
from fleetcert.local.dps.paging import page
from fleetcert.local.dps.policy_members import check_policy_members
from fleetcert.local.dps.web import api_version, read_document


class QueryDocument(msgspec.Struct):
    """`QuerySpecification`."""

    query: str


class EnrollmentRoutes[D: Document]:
    """Create, read, delete and query enrollments of one kind below `path`.

    id_member: what the document calls its id. item_type: what a query calls its items. namespace: the ADR namespace
    that is linked. finish: adds to a document what is known elsewhere.
    """

    def __init__(
        self,
        path: str,
        id_member: str,
        item_type: str,
        kind: type[D],
        enrollments: Enrollments[D],
        namespace: str,
        finish: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._path = path
        self._id_member = id_member
        self._item_type = item_type
        self._kind = kind
        self._enrollments = enrollments
        self._namespace = namespace
        self._finish = finish

    def handlers(self) -> Iterable[tuple[str, str, Handler]]:
        """Method, path and handler of each operation."""
        return (
            ("POST", f"{self._path}/query", self._query),
            ("PUT", f"{self._path}/{{id}}", self._put),
            ("GET", f"{self._path}/{{id}}", self._get),
            ("DELETE", f"{self._path}/{{id}}", self._delete),
            ("POST", f"{self._path}/{{id}}/attestationmechanism", self._attestation_mechanism),
        )

    async def _put(self, request: web.Request) -> web.Response:
        document = await read_document(request, self._kind)
        if identifier(document) != request.match_info["id"]:
            raise bad_request(f"The {self._id_member} of the body is not that of the request")
        check_policy_members(document, api_version(request), self._namespace)
        return self._respond(self._enrollments.put(document, request.headers.get("If-Match")))

    async def _get(self, request: web.Request) -> web.Response:
        return self._respond(self._enrollments.get(request.match_info["id"]))

    async def _delete(self, request: web.Request) -> web.Response:
        self._enrollments.delete(request.match_info["id"], request.headers.get("If-Match"))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _attestation_mechanism(self, request: web.Request) -> web.Response:
        enrollment = self._enrollments.get(request.match_info["id"])
        document = write_attestation(enrollment.attestation, with_keys=True)
        return web.json_response(msgspec.to_builtins(document), headers={"ETag": enrollment.etag})

    async def _query(self, request: web.Request) -> web.Response:
        query = (await read_document(request, QueryDocument)).query
        if not re.fullmatch(rf"\s*select\s+\*\s+from\s+{self._path[1:]}\s*;?\s*", query, re.IGNORECASE):
            raise bad_request("The query is not supported: only SELECT * without conditions is")
        return page(request, [self._to_wire(one) for one in self._enrollments.all()], self._item_type)

    def _respond(self, enrollment: Enrollment[D]) -> web.Response:
        return web.json_response(self._to_wire(enrollment), headers={"ETag": enrollment.etag})

    def _to_wire(self, enrollment: Enrollment[D]) -> dict[str, Any]:
        document: dict[str, Any] = msgspec.to_builtins(enrollment.document)
        return self._finish(document)
