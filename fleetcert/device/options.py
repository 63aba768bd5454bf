"""What an agent is given: the world that it meets, and how it shall behave in it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction

from fleetcert.device.csr import KeyKind
from fleetcert.device.events import Observer
from fleetcert.device.messages import OnMessage
from fleetcert.device.ports import Describe, Hub, Registrar, Timer, Way
from fleetcert.device.report import describe
from fleetcert.device.schedule import SELF_RENEWAL_SHARE
from shared.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How an agent behaves.

    self_renewal: the share of a certificate's life after which it is renewed unasked; None: never unasked.
    key_kind: of new keys. renew_by: the way where a command names none. first_pause, longest_pause: the backoff after
    faults and refusals. settled_after: how long a session must have lasted for its end to count as the first trouble
    and not as one more. hub_given_up_after: how long at most the hub may be out of reach, or refuse a
    certificate that was just issued, before DPS is asked where the device belongs; then twice that, up to a day.
    """

    self_renewal: Fraction | None = SELF_RENEWAL_SHARE
    key_kind: KeyKind = KeyKind.P384
    renew_by: Way = Way.DPS
    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(minutes=15)
    settled_after: timedelta = timedelta(minutes=1)
    hub_given_up_after: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class World:
    """What an agent meets outside of its device."""

    registrar: Registrar
    hub: Hub
    clock: Clock = field(default_factory=SystemClock)
    timer: Timer = time.monotonic
    observe: Observer = lambda _event: None
    on_message: OnMessage = lambda _message: None
    describe: Describe = describe
