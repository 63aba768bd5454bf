"""DPS's service API over HTTPS: enrollments, enrollment groups and registrations."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from fleetcert.local.dps.bulk import change_in_bulk
from fleetcert.local.dps.documents import BulkDocument, EnrollmentGroupDocument, IndividualEnrollmentDocument
from fleetcert.local.dps.enrollment_routes import EnrollmentRoutes
from fleetcert.local.dps.enrollments import Enrollments
from fleetcert.local.dps.errors import bad_request, unauthorized
from fleetcert.local.dps.paging import page
from fleetcert.local.dps.policy_members import BY_AUTHORITY, BY_NAME
from fleetcert.local.dps.registrations import Registration, Registrations
from fleetcert.local.dps.web import api_version, read_document
from fleetcert.local.ports import Credentials

AUDIENCE: Final = "https://azure-devices-provisioning.net"
VERSIONS: Final = ("2019-03-31", "2021-06-01", "2021-10-01", *BY_NAME, *BY_AUTHORITY)


class ServiceApi:
    """What back ends and operators call, by SAS or by a bearer token for `AUDIENCE`."""

    def __init__(
        self,
        groups: Enrollments[EnrollmentGroupDocument],
        individuals: Enrollments[IndividualEnrollmentDocument],
        registrations: Registrations,
        credentials: Credentials,
        namespace: str,
    ) -> None:
        self._individuals = individuals
        self._registrations = registrations
        self._credentials = credentials
        self._groups_routes = EnrollmentRoutes(
            "/enrollmentGroups",
            "enrollmentGroupId",
            "enrollmentGroup",
            EnrollmentGroupDocument,
            groups,
            namespace,
            _plain,
        )
        self._individual_routes = EnrollmentRoutes(
            "/enrollments",
            "registrationId",
            "enrollment",
            IndividualEnrollmentDocument,
            individuals,
            namespace,
            self._with_state,
        )

    def routes(self) -> Iterable[web.RouteDef]:
        """The routes below the service's root."""
        return [
            web.route(method, path, self._guarded(handler))
            for method, path, handler in (
                *self._groups_routes.handlers(),
                *self._individual_routes.handlers(),
                ("POST", "/enrollments", self._bulk),
                ("GET", "/registrations/{id}", self._get_registration),
                ("DELETE", "/registrations/{id}", self._delete_registration),
                ("POST", "/registrations/{id}/query", self._query_registrations),
            )
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self._authorize(request.headers.get("Authorization", ""))
            version = api_version(request)
            if version not in VERSIONS:
                raise bad_request(f"The api-version {version!r} is not supported, use one of {', '.join(VERSIONS)}")
            return await handler(request)

        return guarded

    def _authorize(self, header: str) -> None:
        scheme, _, token = header.partition(" ")
        try:
            if scheme.casefold() == "bearer":
                self._credentials.check_bearer(token, AUDIENCE)
            else:
                self._credentials.check_sas(header, key_is_base64=True)
        except PermissionError as problem:
            raise unauthorized(f"Unauthorized: {problem}") from problem

    def _with_state(self, document: dict[str, Any]) -> dict[str, Any]:
        registration = self._registrations.find(document["registrationId"])
        return document | ({"registrationState": registration.to_wire()} if registration else {})

    async def _bulk(self, request: web.Request) -> web.Response:
        document = await read_document(request, BulkDocument)
        return web.json_response(change_in_bulk(self._individuals, document))

    async def _get_registration(self, request: web.Request) -> web.Response:
        registration = self._registrations.get(request.match_info["id"])
        return web.json_response(registration.to_wire(), headers={"ETag": registration.etag})

    async def _delete_registration(self, request: web.Request) -> web.Response:
        self._registrations.delete(request.match_info["id"], request.headers.get("If-Match"))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _query_registrations(self, request: web.Request) -> web.Response:
        registrations = self._registrations.of_group(request.match_info["id"])
        return page(request, [Registration.to_wire(one) for one in registrations], "deviceRegistration")


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    return document
