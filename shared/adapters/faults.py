"""What goes wrong in a service, in the words of `shared.errors`: one translation for every SDK on azure-core.

Only what a retry can mend becomes an `InfrastructureFault`. A request that the service calls wrong is a defect of ours
or of the event behind it, and must not be retried for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from azure.core.exceptions import AzureError, HttpResponseError

from shared.errors import FleetcertError, InfrastructureFault, Throttled

DEFAULT_PATIENCE: Final = timedelta(seconds=10)
"""How long to wait where a service is busy and does not say for how long."""
_MAX_PATIENCE: Final = timedelta(hours=1)

_BUSY: Final = frozenset({429, 503})
_MENDABLE: Final = frozenset({401, 403, 404, 408, 409, 412})
"""Client errors that time mends: a role that has not spread yet, a table or queue that is being made or deleted."""


class RequestRejected(FleetcertError):
    """A service understood the request and says that it is wrong (400, 413, ...): no retry helps."""

    def __init__(self, service: str, status: int, detail: str) -> None:
        super().__init__(f"{service} answered {status}: {detail}")
        self.service = service
        self.status = status


@contextmanager
def faults(service: str) -> Iterator[None]:
    """Turns what an SDK on azure-core raises into errors of ours.

    Raises: Throttled, InfrastructureFault, RequestRejected.
    """
    try:
        yield
    except HttpResponseError as problem:
        raise _of_response(service, problem) from problem
    except AzureError as problem:
        raise InfrastructureFault(service, problem.message) from problem


def error_code(problem: HttpResponseError) -> str:
    """The service's own code, e.g. `TableNotFound`; empty where it gave none. (The storage SDKs add it untyped.)"""
    code = getattr(problem, "error_code", None)
    return str(getattr(code, "value", code) or "")


def fault_of_status(service: str, status: int, headers: Mapping[str, str], detail: str) -> FleetcertError:
    """The error for an HTTP answer that is no success."""
    if status in _BUSY:
        return Throttled(service, retry_after(headers))
    if status >= 500 or status in _MENDABLE:
        return InfrastructureFault(service, f"answered {status}: {detail}")
    return RequestRejected(service, status, detail)


def retry_after(headers: Mapping[str, str]) -> timedelta:
    """How long the service asks us to wait: `Retry-After` in seconds or `x-ms-retry-after-ms`, else ten seconds.

    A date in `Retry-After` is not used by Azure's services and counts as not given.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("x-ms-retry-after-ms", timedelta(milliseconds=1)), ("retry-after", timedelta(seconds=1))):
        text = lowered.get(name, "")
        if text.isdecimal():
            return min(int(text) * unit, _MAX_PATIENCE)
    return DEFAULT_PATIENCE


def _of_response(service: str, problem: HttpResponseError) -> FleetcertError:
    if problem.response is None or problem.status_code is None:  # no answer came, e.g. from the identity endpoint
        return InfrastructureFault(service, problem.message)
    headers: Mapping[str, str] = getattr(problem.response, "headers", {})
    return fault_of_status(service, problem.status_code, headers, problem.message)
