"""One device's memory: its journal in `state.json`, and the keys that the journal names.

A change is one rename of that file, so that it is whole or has not happened, whenever power fails. Keys and
certificates are written before the journal names them, and destroyed after it has ceased to.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from fleetcert.device.csr import KeyKind
from fleetcert.device.durable import write_durably
from fleetcert.device.errors import DiskFault
from fleetcert.device.journal import REMEMBERED_COMMANDS, Answer, Attempt, Entry, Journal, Wish, read_journal
from fleetcert.device.keystore import FileKeyStore, disk_faults
from fleetcert.device.lock import DirectoryLock
from fleetcert.device.ports import Assignment, KeyStore, Operational, Way
from fleetcert.device.states import SERVING, State

log = logging.getLogger(__name__)


class DeviceStore:
    """What survives a power loss. `directory` is the device's own; keys: where they are, the same place by default.

    Every method that changes something raises DiskFault, and has then changed nothing. Raises: DiskFault,
    KeyStoreLocked, DirectoryInUse.
    """

    def __init__(self, directory: Path, keys: KeyStore | None = None) -> None:
        self._file = directory / "state.json"
        self._keys = keys or FileKeyStore(directory)
        with disk_faults():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = DirectoryLock(directory)
            try:
                self._journal = self._without_what_is_missing(read_journal(self._file))
                self._current = self._load(self._journal.current)
                self._candidate = self._load(self._journal.candidate)
            except BaseException:  # who gets no store cannot close it
                self._lock.release()
                raise
        self._sweep()

    def close(self) -> None:
        """Leaves the directory to another."""
        self._lock.release()

    @property
    def state(self) -> State:
        """Where the device stands."""
        return self._journal.state

    @property
    def current(self) -> Operational | None:
        """The certificate in use."""
        return self._current

    @property
    def candidate(self) -> Operational | None:
        """The certificate that was issued and has not opened the hub yet."""
        return self._candidate

    @property
    def attempt(self) -> Attempt | None:
        """What is being asked for."""
        return self._journal.attempt

    @property
    def wish(self) -> Wish | None:
        """The command whose renewal is still to be done."""
        return self._journal.wish

    @property
    def answers(self) -> tuple[Answer, ...]:
        """What the twin is still to be told, oldest first."""
        return self._journal.answers

    def knows_command(self, command_id: str) -> bool:
        """Whether the command was heard before."""
        return command_id in self._journal.commands

    # -- the way to a certificate ------------------------------------------------------------------------------------

    def begin(self, state: State, way: Way, kind: KeyKind) -> Attempt:
        """Makes a key to be certified, or goes on with the one that there is."""
        attempt = self._journal.attempt
        if attempt is None:
            attempt = Attempt(self._keys.create(kind), way, str(uuid4()))
        if (self.state, self._journal.attempt) != (state, attempt):
            self._write(self._journal.moved(state, attempt=attempt))
        return attempt

    def request(self, attempt: Attempt, registration_id: str) -> bytes:
        """The attempt's PKCS#10 request as DER."""
        return self._keys.request(attempt.key, registration_id)

    def turn_to(self, way: Way, request_id: str | None = None) -> Attempt:
        """The attempt goes on by another way, or by the same way under another request id."""
        attempt = self._journal.attempt
        if attempt is None:
            raise RuntimeError("there is no attempt to go on with")
        changed = replace(attempt, way=way, request_id=request_id or attempt.request_id)
        self._write(replace(self._journal, attempt=changed))
        return changed

    def issued(self, assignment: Assignment) -> None:
        """Keeps what the attempt's key was given. Raises: ValueError where the certificate is another key's."""
        attempt = self._journal.attempt
        if attempt is None:
            raise RuntimeError("nothing was asked for")
        self._keys.certify(attempt.key, assignment.chain)
        entry = Entry(attempt.key, assignment.hub, assignment.device_id)
        self._write(self._journal.moved(State.PROVING, candidate=entry, attempt=None, proofs=0))
        self._candidate = self._load(entry)
        self._sweep()

    def note_proof(self) -> int:
        """Counts a connection with the candidate before it is tried: a proof that kills the process counts, too."""
        self._write(replace(self._journal, proofs=self._journal.proofs + 1))
        return self._journal.proofs

    def commit(self) -> None:
        """The candidate is proven and becomes the current certificate; the key before it is destroyed."""
        wish = self._journal.wish
        proven = replace(self._journal, current=self._journal.candidate, candidate=None, attempt=None, wish=None)
        answer = Answer(wish.command_id, "renewed") if wish else None
        self._write(proven.moved(State.COMMITTED).answered(answer))
        self._current, self._candidate = self._candidate, None
        self._sweep()

    def roll_back(self, reason: str) -> None:
        """The candidate is forgotten, with the wish for it: the current certificate stays."""
        dropped = replace(self._journal, candidate=None, attempt=None, wish=None)
        self._write(dropped.moved(State.ROLLED_BACK).answered(self._failure(reason)))
        self._candidate = None
        self._sweep()

    def give_up(self, reason: str) -> None:
        """What was asked for is not to be had: the current certificate stays."""
        dropped = replace(self._journal, attempt=None, wish=None)
        self._write(dropped.moved(State.OPERATIONAL).answered(self._failure(reason)))
        self._sweep()

    def regain(self) -> None:
        """The hub takes the current certificate again: what was asked for in its place is not needed."""
        self._write(self._journal.moved(State.OPERATIONAL, attempt=None, candidate=None))
        self._candidate = None
        self._sweep()

    def move(self, state: State) -> None:
        """Nothing but the state changes."""
        if state is not self.state:
            self._write(self._journal.moved(state))

    # -- commands ----------------------------------------------------------------------------------------------------

    def hear(self, command_id: str, *, wish: Wish | None = None, answer: Answer | None = None) -> None:
        """Never obeys this command again. It is to be obeyed now, even after a power loss, or to be answered."""
        commands = (*self._journal.commands, command_id)[-REMEMBERED_COMMANDS:]
        heard = replace(self._journal, commands=commands, wish=wish or self._journal.wish)
        self._write(heard.answered(answer))

    def told(self, answer: Answer) -> None:
        """The twin has the answer."""
        remaining = tuple(one for one in self._journal.answers if one != answer)
        self._write(replace(self._journal, answers=remaining))

    # -- private -----------------------------------------------------------------------------------------------------

    def _failure(self, reason: str) -> Answer | None:
        return Answer(self._journal.wish.command_id, "failed", reason) if self._journal.wish else None

    def _write(self, journal: Journal) -> None:
        with disk_faults():
            write_durably(self._file, journal.to_json())
        self._journal = journal

    def _load(self, entry: Entry | None) -> Operational | None:
        if entry is None:
            return None
        chain = self._keys.chain(entry.key)
        return Operational(entry.hub, entry.device_id, chain, partial(self._keys.present, entry.key))

    def _without_what_is_missing(self, journal: Journal) -> Journal:
        """A device must not die of its disk: what it cannot use it gets anew from DPS."""
        current, candidate = self._usable(journal.current), self._usable(journal.candidate)
        attempt = journal.attempt
        if attempt and not self._has_key(attempt.key):
            attempt = None
        state = _state_with(journal.state, current=current, candidate=candidate, attempt=attempt)
        return replace(journal, state=state, current=current, candidate=candidate, attempt=attempt)

    def _usable(self, entry: Entry | None) -> Entry | None:
        try:
            if entry:
                self._keys.chain(entry.key)
        except KeyError:
            log.warning("the certificate of key %s cannot be used", entry and entry.key)
            return None
        return entry

    def _has_key(self, name: str) -> bool:
        try:
            self._keys.request(name, "probe")
        except KeyError:
            log.warning("key %s cannot be used", name)
            return False
        return True

    def _sweep(self) -> None:
        """Destroys keys that are not needed any more; where the disk does not let it, the next time will do."""
        try:
            self._keys.keep_only(self._journal.keys)
        except DiskFault as fault:
            log.warning("keys that are not needed any more are still there: %s", fault)


def _state_with(state: State, *, current: Entry | None, candidate: Entry | None, attempt: Attempt | None) -> State:
    """The state that what is there admits."""
    if state is State.PROVING and candidate is None:
        return State.OPERATIONAL if current else State.NEW
    if state in SERVING and current is None:
        return State.REGISTERING if attempt else State.NEW
    if state is State.RENEWING and attempt is None:
        return State.OPERATIONAL
    return state
