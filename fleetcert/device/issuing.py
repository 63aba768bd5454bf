"""Getting a certificate for the key of the present attempt: from the hub where that is wanted, else from DPS."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from fleetcert.device.chains import Chain
from fleetcert.device.connection import Connection
from fleetcert.device.csr import KeyKind
from fleetcert.device.errors import IssuanceError, IssuanceRefused
from fleetcert.device.events import Happened, Tell
from fleetcert.device.issuance import AskAfresh, Replace, Wait, next_step
from fleetcert.device.journal import Attempt
from fleetcert.device.ports import Assignment, IssuanceRequest, Operational, Registrar, Way
from fleetcert.device.schedule import with_jitter
from fleetcert.device.states import State
from fleetcert.device.store import DeviceStore
from shared.errors import InfrastructureFault, Throttled

TRIES: Final = 3
"""How often the hub may put a request off before DPS is asked in its place."""
_QUESTIONS: Final = 3
"""How often one try may ask: the request, in place of a pending one, afresh."""


class Issuing:
    """Asks, and stores what comes. One certificate at a time, for as long as it takes."""

    def __init__(
        self,
        registration_id: str,
        registrar: Registrar,
        store: DeviceStore,
        connection: Connection,
        key_kind: KeyKind,
        tell: Tell,
    ) -> None:
        self._registration_id = registration_id
        self._registrar = registrar
        self._store = store
        self._connection = connection
        self._key_kind = key_kind
        self._tell = tell
        self._put_off = 0
        self._unwritten: tuple[Attempt, Assignment] | None = None

    def register(self) -> None:
        """Has DPS issue a certificate, which waits for its proof then. Raises: Barred, InfrastructureFault, Stopped."""
        attempt = self._store.begin(State.REGISTERING, Way.DPS, self._key_kind)
        self._keep(attempt, self._unwritten_of(attempt) or self._ask_dps(attempt))

    def renew(self, current: Operational, way: Way) -> None:
        """The same while the current certificate stays in use. Raises: Barred, InfrastructureFault, Stopped."""
        attempt = self._store.begin(State.RENEWING, way, self._key_kind)
        assignment = self._unwritten_of(attempt)
        if assignment is None:
            is_for_hub = attempt.way is Way.IOTHUB
            assignment = self._ask_hub(attempt, current) if is_for_hub else self._ask_dps(attempt)
        self._keep(attempt, assignment)

    def _unwritten_of(self, attempt: Attempt) -> Assignment | None:
        if self._unwritten and self._unwritten[0].key == attempt.key:
            return self._unwritten[1]
        return None

    def _keep(self, attempt: Attempt, assignment: Assignment) -> None:
        """A disk that is full must not cost another certificate: what was issued is kept until it can be written."""
        self._unwritten = attempt, assignment
        try:
            self._store.issued(assignment)
        except ValueError as problem:
            self._unwritten = None
            raise InfrastructureFault("DPS", f"the issued certificate cannot be used: {problem}") from problem
        self._unwritten = None
        self._put_off = 0

    def _ask_dps(self, attempt: Attempt) -> Assignment:
        request = self._store.request(attempt, self._registration_id)
        return self._registrar.register(self._registration_id, request)

    def _ask_hub(self, attempt: Attempt, current: Operational) -> Assignment:
        try:
            chain = self._question_hub(attempt)
        except IssuanceRefused as refusal:
            return self._turn_to_dps(current, str(refusal))
        except InfrastructureFault as fault:
            self._put_off += 1
            if self._put_off < TRIES:
                raise
            return self._turn_to_dps(current, str(fault))
        return Assignment(current.hub, current.device_id, chain)

    def _turn_to_dps(self, current: Operational, reason: str) -> Assignment:
        self._put_off = 0
        self._tell(Happened.TURNED_TO_DPS, current, reason=reason)
        return self._ask_dps(self._store.turn_to(Way.DPS))

    def _question_hub(self, attempt: Attempt) -> Chain:
        """Raises: IssuanceRefused where it is final, InfrastructureFault where it is not."""
        csr, replaced = self._store.request(attempt, self._registration_id), None
        for _ in range(_QUESTIONS):
            try:
                request = IssuanceRequest(attempt.request_id, csr, replaced)
                return self._connection.session.request_certificate(request)
            except IssuanceRefused as refusal:
                replaced = self._to_replace(refusal)
            attempt = self._store.turn_to(Way.IOTHUB, str(uuid4()))
        raise IssuanceRefused(IssuanceError(0, "it neither takes a request nor gives one up"))

    def _to_replace(self, refusal: IssuanceRefused) -> str | None:
        match next_step(refusal.error):
            case Replace(request_id):
                return request_id
            case AskAfresh():
                return None
            case Wait(pause):
                raise Throttled("IoT Hub", with_jitter(pause)) from refusal
            case _:
                raise refusal
