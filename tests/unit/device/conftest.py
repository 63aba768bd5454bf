"""A device on a bench: the real agent and store, a cloud of fakes, and clocks that are turned by hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, common_name_of
from fleetcert.device.agent import Agent
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.errors import ConnectionRefused, IssuanceError, IssuanceRefused
from fleetcert.device.events import AgentEvent, Happened
from fleetcert.device.keystore import FileKeyStore
from fleetcert.device.messages import Message
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.ports import Assignment, IssuanceRequest, Operational
from fleetcert.device.states import State
from fleetcert.device.store import DeviceStore
from fleetcert.onboarding.authority import create_hierarchy, issue_device_credential
from shared.contracts import RenewCertificate
from shared.errors import InfrastructureFault

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
LIFE = timedelta(days=30)
CLIENT = LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass
class Time:
    """The true time, and what the device's clock makes of it: `wrong` is what must be taken from the clock."""

    true: datetime = START
    wrong: timedelta = timedelta()

    def now(self) -> datetime:
        """The device's clock."""
        return self.true + self.wrong

    def timer(self) -> float:
        """What nobody can set."""
        return (self.true - START).total_seconds()

    def pass_by(self, duration: timedelta) -> None:
        self.true += duration


@dataclass
class FakeIssuer:
    """ADR: signs for DPS and the hub alike, by the true time."""

    time: Time
    authority: CertificateAuthority
    life: timedelta = LIFE

    def issue(self, name: str, request: bytes) -> tuple[x509.Certificate, ...]:
        csr = x509.load_der_x509_csr(request)
        assert csr.is_signature_valid
        assert common_name_of(csr.subject) == name
        now = self.time.true
        leaf = self.authority.issue_leaf(name, csr.public_key(), CLIENT, not_before=now, not_after=now + self.life)
        return (leaf, *self.authority.chain)


@dataclass
class FakeRegistrar:
    """Issues what it is asked for, or raises what lies in `failures` first; `always` is raised every time."""

    issuer: FakeIssuer
    hub: str = "hub.example"
    failures: deque[Exception] = field(default_factory=deque)
    always: Exception | None = None
    requests: list[bytes] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None

    def register(self, registration_id: str, request: bytes) -> Assignment:
        self.requests.append(request)
        self.before_answer()
        if self.always or self.failures:
            raise self.always or self.failures.popleft()
        return Assignment(self.hub, registration_id, self.issuer.issue(registration_id, request))


@dataclass
class FakeSession:
    hub: FakeHub
    operational: Operational
    on_message: Callable[[Message], None]
    on_lost: Callable[[], None]
    is_open: bool = True

    def reported(self) -> Mapping[str, Any]:
        self.hub.twin_reads += 1
        if self.hub.read_failures:
            raise self.hub.read_failures.popleft()
        return self.hub.twin

    def report(self, patch: Mapping[str, Any]) -> None:
        if self.hub.report_failures:
            raise self.hub.report_failures.popleft()
        self.hub.patches.append(patch)
        self.hub.twin = merged(self.hub.twin, patch)

    def request_certificate(self, request: IssuanceRequest) -> tuple[x509.Certificate, ...]:
        self.hub.issuances.append(request)
        if self.hub.issuance_failures:
            failure = self.hub.issuance_failures.popleft()
            raise IssuanceRefused(failure) if isinstance(failure, IssuanceError) else failure
        return self.hub.issuer.issue(self.operational.device_id, request.csr)

    def send(self, message: Message) -> None:
        self.hub.telemetry.append(message)

    def abort(self) -> None:
        self.is_open = False

    def close(self) -> None:
        self.is_open = False


@dataclass
class FakeHub:
    """Takes every certificate that is valid at the true time, but those of which `refuses` says otherwise."""

    issuer: FakeIssuer
    refuses: Callable[[Operational], bool] = lambda _operational: False
    unreachable: set[str] = field(default_factory=set)
    failures: deque[Exception] = field(default_factory=deque)
    report_failures: deque[Exception] = field(default_factory=deque)
    read_failures: deque[Exception] = field(default_factory=deque)
    issuance_failures: deque[IssuanceError | Exception] = field(default_factory=deque)
    attempts: list[tuple[str, str]] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)
    twin: Mapping[str, Any] = field(default_factory=dict)
    twin_reads: int = 0
    patches: list[Mapping[str, Any]] = field(default_factory=list)
    issuances: list[IssuanceRequest] = field(default_factory=list)
    telemetry: list[Message] = field(default_factory=list)

    def connect(
        self, operational: Operational, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> FakeSession:
        self.attempts.append((operational.hub, operational.thumbprint))
        if operational.hub in self.unreachable:
            raise OUT_OF_REACH
        if self.failures:
            raise self.failures.popleft()
        is_valid = operational.not_before <= self.issuer.time.true + timedelta(seconds=1)
        if not is_valid or self.issuer.time.true >= operational.not_after or self.refuses(operational):
            raise ConnectionRefused(5, "not authorized")
        session = FakeSession(self, operational, on_message, on_lost)
        self.sessions.append(session)
        return session


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A merge patch (RFC 7396) applied."""
    result = dict(document)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name, {}), value) if isinstance(value, Mapping) else value
    return result


@dataclass
class Bench:
    """One device and its world; `restart` is what a power cycle leaves: the disk."""

    directory: Path
    onboarding: OnboardingCredential
    time: Time
    registrar: FakeRegistrar
    hub: FakeHub
    options: AgentOptions = field(default_factory=AgentOptions)
    events: list[AgentEvent] = field(default_factory=list)
    foreign: list[Message] = field(default_factory=list)
    passphrase: bytes | None = None
    adapt: Callable[[World], World] = lambda world: world
    store: DeviceStore | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, options: AgentOptions | None = None) -> Agent:
        self.options = options or self.options
        if self.store:
            self.store.close()
        self.store = DeviceStore(self.directory, FileKeyStore(self.directory, self.passphrase))
        world = World(
            self.registrar,
            self.hub,
            clock=self.time,
            timer=self.time.timer,
            observe=self.events.append,
            on_message=self.foreign.append,
        )
        self.agent = Agent("dev-1", self.onboarding, self.store, self.adapt(world), self.options)
        return self.agent

    def step(self) -> None:
        """One step, and then the time for which the agent asked passes."""
        self.time.pass_by(self.agent.step())

    def run_for(self, duration: timedelta, at_most: int = 100_000) -> None:
        """Steps until that much time has passed."""
        end = self.time.true + duration
        for _ in range(at_most):
            rest = self.agent.step()
            if self.time.true + rest >= end:
                self.time.true = end
                return
            self.time.pass_by(rest)
        raise AssertionError(f"more than {at_most} steps: {self.happened()[-20:]}")

    def settle(self, at_most: int = 60) -> None:
        """Steps, and lets pauses pass, until the device is connected and has nothing to do for an hour."""
        for _ in range(at_most):
            rest = self.agent.step()
            if self.agent.state is State.OPERATIONAL and rest > timedelta(hours=1):
                return
            self.time.pass_by(rest)
        raise AssertionError(f"still {self.agent.state}: {self.happened()}")

    def bring_up(self) -> Operational:
        self.settle()
        return self.current

    @property
    def current(self) -> Operational:
        assert self.store is not None
        assert self.store.current is not None
        return self.store.current

    @property
    def session(self) -> FakeSession:
        return self.hub.sessions[-1]

    @property
    def answer(self) -> Mapping[str, Any]:
        """What the twin says became of the last command."""
        answer: Mapping[str, Any] = self.hub.twin["renewal"]
        return answer

    def key_files(self) -> list[Path]:
        return sorted(self.directory.glob("*.key"))

    def happened(self, event: Happened | None = None) -> list[Any]:
        return [e.event if event is None else e for e in self.events if event in {None, e.event}]

    def command(self, **changes: Any) -> RenewCertificate:
        wanted = {
            "command_id": "c-1",
            "device_id": "dev-1",
            "reason": "WindowOpen",
            "thumbprint": self.current.thumbprint.upper(),
            "valid_until": self.current.not_after,
            "renew_by": self.current.not_after,
        }
        return RenewCertificate(**(wanted | changes))

    def send(self, **changes: Any) -> None:
        self.session.on_message(Message(self.command(**changes).to_json()))

    def say(self, body: bytes) -> None:
        self.session.on_message(Message(body))


OUT_OF_REACH = InfrastructureFault("IoT Hub", "out of reach")


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> OnboardingCredential:
    directory = tmp_path_factory.mktemp("onboarding")
    hierarchy = create_hierarchy(directory, "factory", key_type="ec")
    files = issue_device_credential(directory / "device", hierarchy.intermediate, "dev-1", key_type="ec")
    return OnboardingCredential.load(files.full_chain, files.key)


@pytest.fixture(scope="session")
def issuing_ca() -> CertificateAuthority:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    far = START + timedelta(days=3650)
    root = CertificateAuthority.create_root("adr-root", root_key, not_before=START, not_after=far)
    return root.issue_authority("adr-policy", key, not_before=START, not_after=far)


@pytest.fixture
def bench(tmp_path: Path, bootstrap: OnboardingCredential, issuing_ca: CertificateAuthority) -> Bench:
    time = Time()
    issuer = FakeIssuer(time, issuing_ca)
    return Bench(tmp_path / "state", bootstrap, time, FakeRegistrar(issuer), FakeHub(issuer))
