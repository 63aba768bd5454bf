"""A device on a bench: the real agent and keystore, a cloud of fakes, and a clock that is turned by hand."""

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
from fleetcert.device.errors import ConnectionRefused
from fleetcert.device.events import AgentEvent, Happened, State
from fleetcert.device.keystore import Keystore, Operational
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.ports import Assignment
from fleetcert.onboarding.authority import create_hierarchy, issue_device_credential
from shared.contracts import RenewCertificate

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
LIFE = timedelta(days=30)
CLIENT = LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH])


class FakeClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


@dataclass
class FakeRegistrar:
    """Issues what it is asked for, or raises what lies in `failures` first; `always` is raised every time."""

    clock: FakeClock
    authority: CertificateAuthority
    life: timedelta = LIFE
    failures: deque[Exception] = field(default_factory=deque)
    always: Exception | None = None
    requests: list[bytes] = field(default_factory=list)
    before_answer: Callable[[], None] = lambda: None

    def register(self, registration_id: str, request: bytes) -> Assignment:
        self.requests.append(request)
        self.before_answer()
        if self.always or self.failures:
            raise self.always or self.failures.popleft()
        csr = x509.load_der_x509_csr(request)
        assert common_name_of(csr.subject) == registration_id
        now = self.clock.now()
        leaf = self.authority.issue_leaf(
            registration_id, csr.public_key(), CLIENT, not_before=now, not_after=now + self.life
        )
        return Assignment("hub.example", registration_id, (leaf, *self.authority.chain))


@dataclass
class FakeSession:
    operational: Operational
    on_command: Callable[[bytes], None]
    on_lost: Callable[[], None]
    twin: list[Mapping[str, Any]]
    failures: deque[Exception]
    is_open: bool = True

    def report(self, patch: Mapping[str, Any]) -> None:
        if self.failures:
            raise self.failures.popleft()
        self.twin.append(patch)

    def close(self) -> None:
        self.is_open = False


@dataclass
class FakeHub:
    """Takes every certificate but those of which `refuses` says otherwise."""

    refuses: Callable[[Operational], bool] = lambda _operational: False
    failures: deque[Exception] = field(default_factory=deque)
    report_failures: deque[Exception] = field(default_factory=deque)
    attempts: list[str] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)
    twin: list[Mapping[str, Any]] = field(default_factory=list)

    def connect(
        self, operational: Operational, on_command: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> FakeSession:
        self.attempts.append(operational.credential.thumbprint)
        if self.failures:
            raise self.failures.popleft()
        if self.refuses(operational):
            raise ConnectionRefused(5, "not authorized")
        session = FakeSession(operational, on_command, on_lost, self.twin, self.report_failures)
        self.sessions.append(session)
        return session


@dataclass
class Bench:
    """One device and its world; `restart` is what a power cycle leaves: the disk."""

    directory: Path
    onboarding: OnboardingCredential
    clock: FakeClock
    registrar: FakeRegistrar
    hub: FakeHub
    options: AgentOptions = field(default_factory=AgentOptions)
    events: list[AgentEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, options: AgentOptions | None = None) -> Agent:
        self.keystore = Keystore(self.directory)
        world = World(self.registrar, self.hub, self.clock, self.events.append)
        self.agent = Agent("dev-1", self.onboarding, self.keystore, world, options or self.options)
        return self.agent

    def step(self) -> None:
        """One step at the time for which the agent asked; never back in time."""
        self.clock.time = max(self.clock.time, self.agent.step())

    def settle(self, at_most: int = 20) -> None:
        """Steps, and lets pauses pass, until the device is connected and has nothing to do."""
        for _ in range(at_most):
            wake_at = self.agent.step()
            if self.agent.state is State.OPERATIONAL and wake_at > self.clock.time + timedelta(hours=1):
                return
            self.clock.time = max(self.clock.time, wake_at)
        raise AssertionError(f"still {self.agent.state}: {self.happened()}")

    def bring_up(self) -> Operational:
        self.settle()
        return self.current

    @property
    def current(self) -> Operational:
        assert self.keystore.current is not None
        return self.keystore.current

    @property
    def session(self) -> FakeSession:
        return self.hub.sessions[-1]

    def happened(self, event: Happened | None = None) -> list[Any]:
        return [e.event if event is None else e for e in self.events if event in {None, e.event}]

    def command(self, **changes: Any) -> RenewCertificate:
        wanted = {
            "command_id": "c-1",
            "device_id": "dev-1",
            "reason": "WindowOpen",
            "thumbprint": self.current.credential.thumbprint.upper(),
            "valid_until": self.current.credential.not_after,
            "renew_by": self.current.credential.not_after,
        }
        return RenewCertificate(**(wanted | changes))

    def send(self, **changes: Any) -> None:
        self.session.on_command(self.command(**changes).to_json())


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
    clock = FakeClock()
    return Bench(tmp_path / "state", bootstrap, clock, FakeRegistrar(clock, issuing_ca), FakeHub())
