"""What Schemathesis cannot make up: keys that were never used, ids, cursors and versions that are known.

It generates headers and parameters by their schema alone. An idempotency key that comes again with another request is
refused, and so are a cursor that no page gave and a version that nobody knows: rightly, and our own tests see to that.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from itertools import count, cycle
from typing import Any

import schemathesis
from schemathesis import GenerationMode

_used = count()
_operations = cycle(os.environ["KNOWN_OPERATIONS"].split())
_suppressions = cycle(os.environ["KNOWN_SUPPRESSIONS"].split())


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A request that is meant to fit gets what only the server could have told."""
    if "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = f"k-{next(_used)}"
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    for place, name in ((case.headers, "If-Match"), (case.query, "cursor"), (case.body, "cursor")):
        if isinstance(place, MutableMapping):
            place.pop(name, None)
    if "Range" in (case.headers or {}):
        case.headers["Range"] = "bytes=0-99"
    if "operationId" in (case.path_parameters or {}):
        case.path_parameters["operationId"] = next(_operations)
    if "suppressionId" in (case.path_parameters or {}):
        case.path_parameters["suppressionId"] = next(_suppressions)


@schemathesis.hook
def filter_path_parameters(context: Any, path_parameters: Any) -> bool:
    """Schemathesis takes a percent sign in an id for the beginning of an escape; test_http_edges.py does not."""
    return "%" not in str((path_parameters or {}).get("deviceId", ""))
