"""The SASL layer in front of AMQP (AMQP 1.0, part 5, section 5.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fleetcert.local.amqp.grants import Grants, Scope, Service
from fleetcert.local.amqp.performatives import SaslInit, SaslMechanisms, SaslOutcome
from fleetcert.local.amqp.tokens import sign_as_client
from fleetcert.local.amqp.types import Array, Symbol
from fleetcert.local.ports import Credentials
from shared.clock import Clock

TOKENLESS: Final = frozenset({"MSSBCBS", "ANONYMOUS", "EXTERNAL"})
"""Mechanisms that say who nobody is: such a peer may do nothing before it has put a token."""

PLAIN_LIFETIME: Final = timedelta(days=1)
"""How long a connection lives on a key: a key does not expire."""


class SaslServer:
    """Offers the mechanisms and judges the client's choice."""

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock

    def offer(self) -> SaslMechanisms:
        """The mechanisms that Event Hubs and IoT Hub offer."""
        offered = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")
        return SaslMechanisms(sasl_server_mechanisms=Array(tuple(map(Symbol, offered))))

    def judge(self, init: SaslInit, grants: Grants) -> SaslOutcome:
        """The outcome; a good key (PLAIN: policy and key of Event Hubs) is entered into the grants."""
        accepted = init.mechanism in TOKENLESS
        if init.mechanism == "PLAIN":
            accepted = self._admit_plain(init, grants)
        return SaslOutcome(outcome=0 if accepted else 1)

    def _admit_plain(self, init: SaslInit, grants: Grants) -> bool:
        expires_at = self._clock.now() + PLAIN_LIFETIME
        try:
            _, policy, key = (init.initial_response or b"").decode().split("\0")
            token = sign_as_client(f"sb://{init.hostname or 'localhost'}/", policy, key, expires_at)
            self._credentials.check_sas(token, key_is_base64=False)
        except (ValueError, PermissionError):
            return False
        grants.add(Scope(Service.EVENT_HUBS, ""), expires_at)
        return True
