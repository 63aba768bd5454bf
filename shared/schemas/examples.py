"""One example of every body and every answer, as instances of the models: they cannot say what the models do not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from shared.domain.states import Before, BlockState, Evidence, OperationKind, OperationState, State
from shared.schemas import answers, bulk, devices, lists, me, operations, queries, requests, rulings, summary
from shared.schemas.access import Role

_THUMBPRINT: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ISSUER: Final = "CN=policy-30d,O=contoso"
_PEM: Final = "-----BEGIN CERTIFICATE-----\nMIIB...\n-----END CERTIFICATE-----\n"

_CERTIFICATE: Final = devices.CertificateAnswer(
    valid_from="2026-11-01T08:00:00Z",
    valid_until="2026-12-01T08:00:00Z",
    evidence=Evidence.VERIFIED,
    first_seen="2026-11-01T08:00:07Z",
    thumbprint=_THUMBPRINT,
    serial_number="4f2a9c",
    issuer=_ISSUER,
    key_algorithm="EC-P-384",
)
_DEVICE: Final = devices.DeviceAnswer(
    device_id="pump-0042",
    registration_id="pump-0042",
    hub="contoso-hub",
    state=State.DISABLED,
    reason="Containing",
    enrollment_group="pumps",
    tags={"site": "bern"},
    certificate=_CERTIFICATE,
    onboarding=devices.OnboardingAnswer(_THUMBPRINT, "2029-01-01T00:00:00Z"),
    command=None,
    containment=devices.ContainmentAnswer(
        requested_by="ann@contoso.example",
        requested_at="2026-11-23T10:15:00Z",
        reason="stolen",
        operation_id=None,
        begun_at=None,
        hub_before=Before.ENABLED,
        hub_disabled_at="2026-11-23T10:15:01Z",
        enrollment_before=Before.ABSENT,
        block=BlockState.BLOCKED,
        blocked_at="2026-11-23T10:15:02Z",
        purged_at=None,
        registry_before=None,
        registry_disabled_at=None,
        disconnected_at=None,
        refused_at=None,
        passed_at=None,
        is_verified=False,
        release=None,
    ),
    revocation=devices.RevocationAnswer(
        requested_by="ann@contoso.example",
        requested_at="2026-11-23T10:16:00Z",
        reason="its keys may have leaked",
        revoked_at="2026-11-23T10:16:04Z",
        finished_at="2026-11-23T10:16:04Z",
        failure=None,
    ),
    attempts=0,
    first_seen="2026-03-01T08:00:00Z",
    updated_at="2026-11-23T10:15:02Z",
    next_deadline="2026-11-23T10:20:02Z",
)
_LINE: Final = lists.DeviceLineAnswer(
    device_id="pump-0042",
    state=State.DUE,
    reason="OverBudget",
    hub="contoso-hub",
    enrollment_group="pumps",
    tags={"site": "bern"},
    valid_from="2026-11-01T08:00:00Z",
    valid_until="2026-12-01T08:00:00Z",
    thumbprint=_THUMBPRINT,
    evidence=Evidence.VERIFIED,
    issuer=_ISSUER,
)
_ACTOR: Final = answers.ActorAnswer(
    "ann@contoso.example", "0b8f6a8e-5c5b-4f4e-9a57-1f6f7b2e9a11", "f3c1b0de-7a0c-4d55-8d4f-2c8a5e6d7b90"
)
_CHANGE: Final = lists.ChangeAnswer(
    at="2026-11-23T10:15:00Z",
    kind="disableRequested",
    actor=_ACTOR,
    reason="stolen",
    details={},
    event_id="disableRequested/2026-11-23T10:15:00+00:00/1",
)
_OPERATION: Final = operations.OperationAnswer(
    id="251608070400000-5f0c2a2e",
    kind=OperationKind.BULK_DISABLE,
    state=OperationState.RUNNING,
    actor=_ACTOR,
    reason="the batch was stolen",
    created_at="2026-11-23T10:15:00Z",
    updated_at="2026-11-23T10:15:30Z",
    finished_at=None,
    parameters={"tag": "batch=7", "maxAffected": "50"},
    total=42,
    done=17,
    failed=1,
    failures=[operations.FailureAnswer("pump-0007", "it is retired: the hub has no such device")],
    result={},
    problem="",
    cancellation=operations.CancellationAnswer(_ACTOR, "they were found", "2026-11-23T10:15:29Z"),
)
_SNAPSHOT: Final = summary.SnapshotAnswer(
    as_of="2026-11-23T10:00:00Z",
    total=25,
    states={"commanded": 2, "valid": 23},
    top_reasons=[summary.ReasonAnswer("CertificateCurrent", 23), summary.ReasonAnswer("CommandInFlight", 2)],
    expiry={"1d": 0, "7d": 2, "30d": 23},
    renewals=[summary.RenewalsAnswer("2026-11-24", 3)],
)

TEXTS: Final = {
    "text/csv": "deviceId,registrationId,state,...\r\npump-0042,pump-0042,due,...\r\n",
    "text/html": "<!doctype html>...",
    "*/*": "export const ...",
}
"""An exported file, the dashboard's page and a script of it, by their media types."""

_EXAMPLES: Final[tuple[Struct, ...]] = (
    _DEVICE,
    lists.PageAnswer([_LINE], "ZXhwaXJlcyEyMDI2MTIwMVQwODAwMDAhcHVtcC0wMDQy", partial=False),
    lists.HistoryAnswer("pump-0042", [_CHANGE], None),
    me.MeAnswer(
        "ann@contoso.example", "0b8f6a8e-5c5b-4f4e-9a57-1f6f7b2e9a11", "", (Role.READ, Role.RENEW), revocation=False
    ),
    answers.HealthAnswer(),
    answers.DocumentAnswer("3.1.0", {"title": "fleetcert", "version": "1"}, {}),
    answers.SchemasAnswer("https://json-schema.org/draft/2020-12/schema", "urn:fleetcert:schema:alerts:1", {}),
    summary.SummaryAnswer(_SNAPSHOT, [summary.DueAnswer("pump-0042", "2026-11-23T18:00:00Z")], more_due=False),
    requests.RenewRequest("its key may have leaked"),
    requests.DisableRequest("stolen", _PEM),
    queries.ExportRequest(state=(State.DUE, State.OVERDUE), tag="site=bern", reason="the audit of November"),
    requests.EnableRequest("it was found"),
    requests.RevokeRequest("its keys may have leaked"),
    bulk.BulkRequest(bulk.SelectorRequest(tag="batch=7"), "the batch was stolen", dry_run=False, max_affected=100),
    bulk.PreviewAnswer(
        matched=43,
        affected=42,
        max_affected=50,
        exceeds=False,
        devices=[
            bulk.TargetAnswer("pump-0042", "valid", None),
            bulk.TargetAnswer("pump-0007", "retired", "it is retired: the hub has no such device"),
        ],
        cursor=None,
    ),
    _OPERATION,
    operations.OperationPageAnswer([_OPERATION], None),
    operations.CancelRequest("they were found"),
    rulings.PauseRequest(datetime(2026, 11, 24, tzinfo=UTC), "DPS is down", "site=bern"),
    rulings.ResumeRequest("it is up again", "site=bern"),
    rulings.SuppressRequest("*", "tag:site=lab", datetime(2026, 11, 24, tzinfo=UTC), "tests"),
    rulings.LiftRequest("the tests are over"),
    rulings.RulingAnswer("2026-11-24T00:00:00Z", "251608070400000-3d2f0f9a"),
    rulings.RulingsAnswer(
        [
            rulings.PauseAnswer(
                id="251608070399000-7c1e5b20",
                tag="site=bern",
                until="2026-11-24T00:00:00Z",
                actor=_ACTOR,
                reason="DPS is down",
                ruled_at="2026-11-23T10:15:01Z",
            )
        ],
        [
            rulings.SuppressionAnswer(
                id="251608070400000-3d2f0f9a",
                alert_type="*",
                device="tag:site=lab",
                until="2026-11-24T00:00:00Z",
                actor=_ACTOR,
                reason="tests",
                ruled_at="2026-11-23T10:15:00Z",
            )
        ],
    ),
)
_BY_MODEL: Final = {type(example): example for example in _EXAMPLES}


def of(model: type[Struct]) -> Any:
    """The example of a model, as it travels. Raises: KeyError where there is none."""
    return msgspec.json.decode(msgspec.json.encode(_BY_MODEL[model]))
