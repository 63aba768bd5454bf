"""The HTTP API as a table: the triggers are registered by it, and the OpenAPI document is written from it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from shared.errors import LimitReached, NotPossible, RevocationUnavailable, TooManyAffected
from shared.schemas.access import Role
from shared.schemas.answers import DocumentAnswer, HealthAnswer, SchemasAnswer
from shared.schemas.bulk import BulkRequest, PreviewAnswer
from shared.schemas.devices import DeviceAnswer
from shared.schemas.lists import HistoryAnswer, PageAnswer
from shared.schemas.me import MeAnswer
from shared.schemas.operations import CancelRequest, OperationAnswer, OperationPageAnswer
from shared.schemas.pages import DASHBOARD, DASHBOARD_FILE
from shared.schemas.queries import DeviceQuery, ExportRequest, NoQuery, PageQuery
from shared.schemas.ranges import RangeNotSatisfiable, RangeRequired
from shared.schemas.requests import DisableRequest, EnableRequest, RenewRequest, RevokeRequest
from shared.schemas.routing import CSV, DEVICE_ID, OPERATION_ID, SCHEMA, SUPPRESSION_ID, Answer, Link, Route
from shared.schemas.rulings import (
    LiftRequest,
    PauseRequest,
    ResumeRequest,
    RulingAnswer,
    RulingsAnswer,
    SuppressRequest,
)
from shared.schemas.summary import SummaryAnswer

_ACCEPTED: Final = Answer(
    model=DeviceAnswer,
    says="It is stored, and will be done; the device's document tells how far it is",
    status=HTTPStatus.ACCEPTED,
    headers={"Location": "The device", "ETag": "Its version"},
    links=(Link("show_device", DEVICE_ID, "deviceId"), Link("show_history", DEVICE_ID, "deviceId")),
)
_BEGUN: Final = Answer(
    model=OperationAnswer,
    says="The work has begun; the operation tells how far it is",
    status=HTTPStatus.ACCEPTED,
    headers={"Location": "The operation"},
    links=(Link("show_operation", OPERATION_ID, "id"), Link("cancel_operation", OPERATION_ID, "id")),
)
_FILE_HEADERS: Final = {"ETag": "The file's version", "Accept-Ranges": "bytes", "Content-Disposition": "A name for it"}
_BULK_ANSWERS: Final = (Answer(model=PreviewAnswer, says="A dry run: what would be touched"), _BEGUN)
_BULK_PROBLEMS: Final = (TooManyAffected, LimitReached)

LIST_DEVICES: Final = Route(
    name="list_devices",
    path="devices",
    summary="The fleet by the end of its certificates, page by page",
    group="devices",
    query=DeviceQuery,
    answers=(Answer(model=PageAnswer, says="A page of devices, those with the least time left first"),),
)
SHOW_DEVICE: Final = Route(
    name="show_device",
    path="devices/{deviceId}",
    summary="Everything that is known of a device",
    group="devices",
    query=NoQuery,
    answers=(Answer(model=DeviceAnswer, says="The device", headers={"ETag": "Its version"}),),
)
SHOW_HISTORY: Final = Route(
    name="show_history",
    path="devices/{deviceId}/history",
    summary="What happened to a device, who did it and why",
    group="devices",
    query=PageQuery,
    answers=(Answer(model=HistoryAnswer, says="A page of changes, the newest first"),),
)
RENEW_DEVICE: Final = Route(
    name="renew_device",
    path="devices/{deviceId}/renew",
    summary="Ask a device to renew its certificate now",
    group="devices",
    query=NoQuery,
    body=RenewRequest,
    roles=(Role.RENEW,),
    answers=(_ACCEPTED,),
    checks_version=True,
    problems=(NotPossible,),
)
DISABLE_DEVICE: Final = Route(
    name="disable_device",
    path="devices/{deviceId}/disable",
    summary="Shut a device out, at the hub and at DPS",
    group="containment",
    query=NoQuery,
    body=DisableRequest,
    roles=(Role.CONTAIN,),
    answers=(_ACCEPTED,),
    checks_version=True,
)
ENABLE_DEVICE: Final = Route(
    name="enable_device",
    path="devices/{deviceId}/enable",
    summary="Undo what disable did, and only that",
    group="containment",
    query=NoQuery,
    body=EnableRequest,
    roles=(Role.CONTAIN,),
    answers=(_ACCEPTED,),
    problems=(NotPossible,),
    checks_version=True,
)
REVOKE_DEVICE: Final = Route(
    name="revoke_device",
    path="devices/{deviceId}/revoke",
    summary="Make every certificate that a device was ever issued invalid",
    group="containment",
    query=NoQuery,
    body=RevokeRequest,
    roles=(Role.CONTAIN,),
    answers=(_ACCEPTED,),
    problems=(RevocationUnavailable, NotPossible),
    checks_version=True,
)
BULK_RENEW: Final = Route(
    name="bulk_renew",
    path="bulk/renew",
    summary="Ask many devices to renew; a dry run where nothing else is said",
    group="bulk",
    query=NoQuery,
    body=BulkRequest,
    roles=(Role.RENEW,),
    answers=_BULK_ANSWERS,
    problems=_BULK_PROBLEMS,
)
BULK_DISABLE: Final = Route(
    name="bulk_disable",
    path="bulk/disable",
    summary="Shut many devices out; a dry run where nothing else is said",
    group="bulk",
    query=NoQuery,
    body=BulkRequest,
    roles=(Role.CONTAIN,),
    answers=_BULK_ANSWERS,
    problems=_BULK_PROBLEMS,
)
LIST_OPERATIONS: Final = Route(
    name="list_operations",
    path="operations",
    summary="Long work, the newest first",
    group="operations",
    query=PageQuery,
    answers=(Answer(model=OperationPageAnswer, says="A page of operations"),),
)
SHOW_OPERATION: Final = Route(
    name="show_operation",
    path="operations/{operationId}",
    summary="How far long work has come",
    group="operations",
    query=NoQuery,
    answers=(Answer(model=OperationAnswer, says="The operation"),),
)
CANCEL_OPERATION: Final = Route(
    name="cancel_operation",
    path="operations/{operationId}/cancel",
    summary="End long work early; whoever may start its kind may cancel it",
    group="operations",
    query=NoQuery,
    body=CancelRequest,
    roles=tuple(Role),
    answers=(msgspec.structs.replace(_BEGUN, says="It ends after what it is at"),),
    problems=(NotPossible,),
)
EXPORT_FLEET: Final = Route(
    name="export_fleet",
    path="fleet/exports",
    summary="Write the list of devices, or those that fit, into a CSV file",
    group="fleet",
    query=NoQuery,
    body=ExportRequest,
    answers=(msgspec.structs.replace(_BEGUN, links=(*_BEGUN.links, Link("read_export", OPERATION_ID, "id"))),),
    problems=(LimitReached,),
)
READ_EXPORT: Final = Route(
    name="read_export",
    path="operations/{operationId}/content",
    summary="The file that an export has written, whole or in ranges",
    group="operations",
    query=NoQuery,
    answers=(
        Answer(model=str, says="The whole file", media_type=CSV, headers=_FILE_HEADERS),
        Answer(
            model=str,
            says="A part of the file, of at most 8 MiB",
            status=HTTPStatus.PARTIAL_CONTENT,
            media_type=CSV,
            headers={**_FILE_HEADERS, "Content-Range": "Which part, of how many bytes"},
        ),
    ),
    problems=(NotPossible, RangeRequired, RangeNotSatisfiable),
    takes_range=True,
)
FLEET_SUMMARY: Final = Route(
    name="fleet_summary",
    path="fleet/summary",
    summary="The fleet at a glance",
    group="fleet",
    query=NoQuery,
    answers=(Answer(model=SummaryAnswer, says="The last snapshot, and what is due today"),),
)
LIST_RULINGS: Final = Route(
    name="list_rulings",
    path="fleet/rulings",
    summary="Which pauses and suppressions stand now, whose they are and why",
    group="fleet",
    query=NoQuery,
    answers=(Answer(model=RulingsAnswer, says="What stands now, at most 100 of a kind"),),
)
PAUSE_FLEET: Final = Route(
    name="pause_fleet",
    path="fleet/pause",
    summary="Hold renewal commands back",
    group="fleet",
    query=NoQuery,
    body=PauseRequest,
    roles=(Role.RENEW,),
    answers=(Answer(model=RulingAnswer, says="The pause holds, on every instance within 30 seconds"),),
    problems=(NotPossible,),
)
RESUME_FLEET: Final = Route(
    name="resume_fleet",
    path="fleet/resume",
    summary="End a pause",
    group="fleet",
    query=NoQuery,
    body=ResumeRequest,
    roles=(Role.RENEW,),
    answers=(Answer(model=RulingAnswer, says="No such pause stands any more, on any instance after 30 seconds"),),
)
SUPPRESS_ALERTS: Final = Route(
    name="suppress_alerts",
    path="fleet/suppressions",
    summary="Stop alerts from being told",
    group="fleet",
    query=NoQuery,
    body=SuppressRequest,
    roles=(Role.RENEW,),
    answers=(
        Answer(
            model=RulingAnswer,
            says="The suppression holds, on every instance within 30 seconds",
            links=(Link("lift_suppression", SUPPRESSION_ID, "id"),),
        ),
    ),
    problems=(NotPossible,),
)
LIFT_SUPPRESSION: Final = Route(
    name="lift_suppression",
    path="fleet/suppressions/{suppressionId}/lift",
    summary="End a suppression: its alerts are told again",
    group="fleet",
    query=NoQuery,
    body=LiftRequest,
    roles=(Role.RENEW,),
    answers=(Answer(model=RulingAnswer, says="The suppression has ended, on every instance within 30 seconds"),),
)
WHO_AM_I: Final = Route(
    name="who_am_i",
    path="me",
    summary="Who asks, with which roles, and what can be done here",
    group="service",
    query=NoQuery,
    roles=tuple(Role),
    answers=(Answer(model=MeAnswer, says="The caller"),),
)
HEALTH: Final = Route(
    name="health",
    path="health",
    summary="Whether the app could do its work",
    group="service",
    query=NoQuery,
    roles=(),
    answers=(Answer(model=HealthAnswer, says="All is well"),),
)
OPENAPI: Final = Route(
    name="openapi",
    path="openapi.json",
    summary="This document",
    group="service",
    query=NoQuery,
    roles=(),
    answers=(Answer(model=DocumentAnswer, says="An OpenAPI 3.1 document"),),
)
ALERT_SCHEMAS: Final = Route(
    name="alert_schemas",
    path="alerts.schema.json",
    summary="The JSON schemas of the alerts' data, by their dataschema",
    group="service",
    query=NoQuery,
    roles=(),
    answers=(Answer(model=SchemasAnswer, says="A JSON Schema document (2020-12)", media_type=SCHEMA),),
)

ROUTES: Final[tuple[Route[Any, Any], ...]] = (
    LIST_DEVICES,
    SHOW_DEVICE,
    SHOW_HISTORY,
    RENEW_DEVICE,
    DISABLE_DEVICE,
    ENABLE_DEVICE,
    REVOKE_DEVICE,
    BULK_RENEW,
    BULK_DISABLE,
    LIST_OPERATIONS,
    SHOW_OPERATION,
    CANCEL_OPERATION,
    EXPORT_FLEET,
    READ_EXPORT,
    FLEET_SUMMARY,
    LIST_RULINGS,
    PAUSE_FLEET,
    RESUME_FLEET,
    SUPPRESS_ALERTS,
    LIFT_SUPPRESSION,
    WHO_AM_I,
    HEALTH,
    OPENAPI,
    ALERT_SCHEMAS,
    DASHBOARD,
    DASHBOARD_FILE,
)
