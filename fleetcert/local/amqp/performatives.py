"""The frames' bodies and what they carry (AMQP 1.0, part 2, section 2.7; part 3, sections 3.4 and 3.5; part 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from fleetcert.local.amqp.composites import (
    Composite,
    Fields,
    Symbols,
    WireSymbol,
    WireUByte,
    WireUInt,
    WireULong,
    WireUShort,
)

SENDER: Final = False
RECEIVER: Final = True
"""The values of `role`: which end of the link the writer of the frame is."""

SETTLED: Final = 1
"""The sender settle mode of a link whose deliveries are all sent settled."""


@dataclass(slots=True, kw_only=True)
class Error(Composite):
    """Why something ended."""

    code: ClassVar[int] = 0x1D
    condition: WireSymbol
    description: str | None = None
    info: Fields | None = None


@dataclass(slots=True, kw_only=True)
class Received(Composite):
    """A delivery's state: how much of it has come."""

    code: ClassVar[int] = 0x23
    section_number: WireUInt
    section_offset: WireULong


@dataclass(slots=True, kw_only=True)
class Accepted(Composite):
    """The outcome of a delivery that was taken."""

    code: ClassVar[int] = 0x24


@dataclass(slots=True, kw_only=True)
class Rejected(Composite):
    """The outcome of a delivery that was refused, with the reason."""

    code: ClassVar[int] = 0x25
    error: Error | None = None


@dataclass(slots=True, kw_only=True)
class Released(Composite):
    """The outcome of a delivery that was not and will not be acted upon."""

    code: ClassVar[int] = 0x26


@dataclass(slots=True, kw_only=True)
class Modified(Composite):
    """The outcome of a delivery that may be tried again, changed."""

    code: ClassVar[int] = 0x27
    delivery_failed: bool | None = None
    undeliverable_here: bool | None = None
    message_annotations: Fields | None = None


type DeliveryState = Received | Accepted | Rejected | Released | Modified


@dataclass(slots=True, kw_only=True)
class Source(Composite):
    """Where a link's messages come from. filter: by name, described values."""

    code: ClassVar[int] = 0x28
    address: str | None = None
    durable: WireUInt | None = None
    expiry_policy: WireSymbol | None = None
    timeout: WireUInt | None = None
    dynamic: bool | None = None
    dynamic_node_properties: Fields | None = None
    distribution_mode: WireSymbol | None = None
    filter: Fields | None = None
    default_outcome: Any = None
    outcomes: Symbols | None = None
    capabilities: Symbols | None = None


@dataclass(slots=True, kw_only=True)
class Target(Composite):
    """Where a link's messages go."""

    code: ClassVar[int] = 0x29
    address: str | None = None
    durable: WireUInt | None = None
    expiry_policy: WireSymbol | None = None
    timeout: WireUInt | None = None
    dynamic: bool | None = None
    dynamic_node_properties: Fields | None = None
    capabilities: Symbols | None = None


@dataclass(slots=True, kw_only=True)
class Open(Composite):
    """Opens the connection and says its limits. idle_time_out: milliseconds."""

    code: ClassVar[int] = 0x10
    container_id: str
    hostname: str | None = None
    max_frame_size: WireUInt | None = None
    channel_max: WireUShort | None = None
    idle_time_out: WireUInt | None = None
    outgoing_locales: Symbols | None = None
    incoming_locales: Symbols | None = None
    offered_capabilities: Symbols | None = None
    desired_capabilities: Symbols | None = None
    properties: Fields | None = None


@dataclass(slots=True, kw_only=True)
class Begin(Composite):
    """Begins a session on a channel. Windows count transfer frames."""

    code: ClassVar[int] = 0x11
    remote_channel: WireUShort | None = None
    next_outgoing_id: WireUInt
    incoming_window: WireUInt
    outgoing_window: WireUInt
    handle_max: WireUInt | None = None
    offered_capabilities: Symbols | None = None
    desired_capabilities: Symbols | None = None
    properties: Fields | None = None


@dataclass(slots=True, kw_only=True)
class Attach(Composite):
    """Attaches a link to the session."""

    code: ClassVar[int] = 0x12
    name: str
    handle: WireUInt
    role: bool
    snd_settle_mode: WireUByte | None = None
    rcv_settle_mode: WireUByte | None = None
    source: Source | None = None
    target: Any = None
    unsettled: Fields | None = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: WireUInt | None = None
    max_message_size: WireULong | None = None
    offered_capabilities: Symbols | None = None
    desired_capabilities: Symbols | None = None
    properties: Fields | None = None


@dataclass(slots=True, kw_only=True)
class Flow(Composite):
    """The session's windows and, with a handle, a link's credit."""

    code: ClassVar[int] = 0x13
    next_incoming_id: WireUInt | None = None
    incoming_window: WireUInt
    next_outgoing_id: WireUInt
    outgoing_window: WireUInt
    handle: WireUInt | None = None
    delivery_count: WireUInt | None = None
    link_credit: WireUInt | None = None
    available: WireUInt | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: Fields | None = None


@dataclass(slots=True, kw_only=True)
class Transfer(Composite):
    """A message or a part of one; the payload follows the performative in its frame."""

    code: ClassVar[int] = 0x14
    handle: WireUInt
    delivery_id: WireUInt | None = None
    delivery_tag: bytes | None = None
    message_format: WireUInt | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: WireUByte | None = None
    state: DeliveryState | None = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


@dataclass(slots=True, kw_only=True)
class Disposition(Composite):
    """The state of the deliveries `first` to `last`."""

    code: ClassVar[int] = 0x15
    role: bool
    first: WireUInt
    last: WireUInt | None = None
    settled: bool | None = None
    state: DeliveryState | None = None
    batchable: bool | None = None


@dataclass(slots=True, kw_only=True)
class Detach(Composite):
    """Detaches a link; `closed` ends it for good."""

    code: ClassVar[int] = 0x16
    handle: WireUInt
    closed: bool | None = None
    error: Error | None = None


@dataclass(slots=True, kw_only=True)
class End(Composite):
    """Ends the session."""

    code: ClassVar[int] = 0x17
    error: Error | None = None


@dataclass(slots=True, kw_only=True)
class Close(Composite):
    """Closes the connection."""

    code: ClassVar[int] = 0x18
    error: Error | None = None


@dataclass(slots=True, kw_only=True)
class SaslMechanisms(Composite):
    """The server's offer."""

    code: ClassVar[int] = 0x40
    sasl_server_mechanisms: Symbols


@dataclass(slots=True, kw_only=True)
class SaslInit(Composite):
    """The client's choice."""

    code: ClassVar[int] = 0x41
    mechanism: WireSymbol
    initial_response: bytes | None = None
    hostname: str | None = None


@dataclass(slots=True, kw_only=True)
class SaslOutcome(Composite):
    """The end of the SASL exchange. outcome: 0 ok, 1 authentication failed."""

    code: ClassVar[int] = 0x44
    outcome: WireUByte
    additional_data: bytes | None = None
