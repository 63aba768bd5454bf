"""Up to ten individual enrollments in one request."""

from __future__ import annotations

from typing import Any, Final

from fleetcert.local.dps.documents import BulkDocument, IndividualEnrollmentDocument
from fleetcert.local.dps.enrollments import Enrollments
from fleetcert.local.dps.errors import Refusal, bad_request, precondition_failed

LIMIT: Final = 10


def change_in_bulk(enrollments: Enrollments[IndividualEnrollmentDocument], request: BulkDocument) -> dict[str, Any]:
    """`BulkEnrollmentOperationResult`: each enrollment succeeds or fails by itself. Raises: Refusal 400."""
    if not 1 <= len(request.enrollments) <= LIMIT:
        raise bad_request(f"A bulk operation holds 1 to {LIMIT} enrollments")
    errors = []
    for document in request.enrollments:
        try:
            _change(enrollments, request.mode, document)
        except Refusal as refusal:
            errors.append(
                {
                    "registrationId": document.registration_id,
                    "errorCode": refusal.code,
                    "errorStatus": refusal.message,
                }
            )
    return {"isSuccessful": not errors, "errors": errors}


def _change(
    enrollments: Enrollments[IndividualEnrollmentDocument], mode: str, document: IndividualEnrollmentDocument
) -> None:
    match mode:
        case "delete":
            enrollments.delete(document.registration_id)
        case "create":
            if enrollments.find(document.registration_id) is not None:
                raise precondition_failed()
            enrollments.put(document)
        case "updateIfMatchETag":
            enrollments.get(document.registration_id)
            enrollments.put(document, document.etag or "")
        case _:
            enrollments.get(document.registration_id)
            enrollments.put(document)
