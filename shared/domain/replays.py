"""Events that an operator sends again, from a dead letter, past IoT Hub.

They lack the annotations that IoT Hub puts on what it routes, so they carry them as application properties. Whoever
may send to the event hub is trusted alike: IoT Hub, DPS's diagnostics, operators with the sender role. A device is not,
and the application properties of its messages are its own. So these properties count only on an event without any
`iothub-` annotation: nothing comes through IoT Hub without one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from shared.contracts import format_instant, parse_instant
from shared.domain.envelope import Envelope

PREFIX: Final = "fleetcert-replay-"
OF: Final = f"{PREFIX}of"
"""The event id under which the event came first, `{hub}/{partition}/{sequence}`."""
ENQUEUED_AT: Final = f"{PREFIX}enqueued-at"
"""When it was enqueued first."""
SYSTEM: Final = f"{PREFIX}system"
"""IoT Hub's annotations of that time, as a JSON object."""

_IOT_HUB: Final = "iothub-"


def replay_properties(
    event_id: str, properties: Mapping[str, Any], system: Mapping[str, Any], enqueued_at: datetime
) -> dict[str, Any]:
    """The application properties of an event that is sent again; of one that is sent once more, as the first time."""
    own = {name: value for name, value in properties.items() if not name.startswith(PREFIX)}
    annotations = {name: str(value) for name, value in system.items() if name.startswith(_IOT_HUB)}
    return own | {
        OF: str(properties.get(OF, event_id)),
        ENQUEUED_AT: format_instant(enqueued_at),
        SYSTEM: json.dumps(annotations, sort_keys=True),
    }


def as_first_sent(envelope: Envelope) -> Envelope:
    """A replayed event with the annotations and the age of its original; any other event as it is.

    It keeps its own position, so that a second dead letter has a place of its own, and tells in its properties of what
    event it is. The age can only be raised: a claim's bound runs from when it was first heard.
    """
    if OF not in envelope.properties or any(name.startswith(_IOT_HUB) for name in envelope.system):
        return envelope
    try:
        annotations = json.loads(envelope.properties[SYSTEM])
        enqueued_at = parse_instant(envelope.properties[ENQUEUED_AT])
        original = {name: value for name, value in annotations.items() if name.startswith(_IOT_HUB)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return envelope
    return replace(envelope, enqueued_at=min(enqueued_at, envelope.enqueued_at), system={**envelope.system, **original})
