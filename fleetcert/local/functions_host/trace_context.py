"""The trace context of an invocation (W3C Trace Context), as Azure's host gives it to a worker.

The host opens a span of its own for each invocation and hands on its context. A request that brings a context is
continued; timers, queues and batches of events begin a trace: a storage queue carries no context, and of many events'
contexts none can be the parent (the host links to them). The host's own span is not exported here.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")
_SAMPLED: Final = "01"


def next_context(caller: str | None = None) -> str:
    """The `traceparent` of a new span: in the caller's trace where it has one, else in a trace of its own."""
    continued = _TRACEPARENT.fullmatch(caller or "")
    trace_id, flags = continued.groups() if continued else (secrets.token_hex(16), _SAMPLED)
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"
