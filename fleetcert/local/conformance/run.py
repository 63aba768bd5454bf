"""Plays the scenarios with a command, several at a time, and says how each ended."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetcert.local.child_azure import child_azure
from fleetcert.local.conformance.cloud import ConformanceCloud
from fleetcert.local.conformance.device import DeviceUnderTest, Factory
from fleetcert.local.conformance.scenarios import SCENARIOS, SHORT_LIVED, Scenario, name_of
from fleetcert.local.conformance.trial import NotMet, Trial

_POLICY: Final = "conform"
_SHORT_POLICY: Final = "conform-short"
_LONG_LIFE_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Plan:
    """How to play. patience_seconds: for each expectation. short_life_seconds: of certificates that shall end."""

    command: Sequence[str]
    only: frozenset[str] = frozenset()
    jobs: int = 4
    patience_seconds: float = 60.0
    short_life_seconds: int = 30

    @property
    def scenarios(self) -> list[Scenario]:
        """What is to be played. Raises: NotMet for a name that is none."""
        known = {name_of(one): one for one in SCENARIOS}
        if unknown := self.only - known.keys():
            raise NotMet(f"there is no scenario {sorted(unknown)[0]!r}; there are {', '.join(known)}")
        return [one for name, one in known.items() if not self.only or name in self.only]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a scenario ended. detail: what was not met, or something worth knowing. log: what the device said last."""

    scenario: str
    has_passed: bool
    detail: str
    seconds: float
    log: str = ""

    def to_wire(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def conform(plan: Plan, console: Console) -> list[Verdict]:
    """Starts a local Azure of its own, plays, and shows a table.

    Raises: CannotStart, ChildDied, NotMet for a scenario that is none.
    """
    scenarios = plan.scenarios
    with tempfile.TemporaryDirectory(prefix="fleetcert-conform-") as folder, ExitStack() as stack:
        with console.status("starting the local Azure"):
            azure = stack.enter_context(_local_azure(Path(folder)))
        with console.status(f"playing {len(scenarios)} scenarios"), ConformanceCloud(azure) as cloud:
            verdicts = play_all(plan, scenarios, cloud, Path(folder), console)
    _show(verdicts, console)
    return verdicts


@contextmanager
def _local_azure(folder: Path) -> Iterator[dict[str, Any]]:
    own = folder / "azure"
    environment = {"FLEETCERT_LOCAL_DIR": str(own), "VALIDITY": str(_LONG_LIFE_SECONDS)}
    with child_azure(own / "azure.json", environment, with_app=False) as azure:
        os.environ["SSL_CERT_FILE"] = azure["ca_bundle"]  # uamqp can be told of a CA in no other way
        yield azure


def play_all(
    plan: Plan, scenarios: Sequence[Scenario], cloud: ConformanceCloud, folder: Path, console: Console
) -> list[Verdict]:
    """The verdicts in the order of the scenarios; each is told when it comes.

    cloud: any local Azure; folder: where devices live. Raises: OSError where the command is no program.
    """
    cloud.put_policy(_POLICY, _LONG_LIFE_SECONDS)
    cloud.put_policy(_SHORT_POLICY, plan.short_life_seconds)
    cloud.synchronize()
    with ThreadPoolExecutor(plan.jobs) as pool:
        playing = {pool.submit(_play, plan, one, cloud, folder): one for one in scenarios}
        verdicts = {}
        for done in as_completed(playing):
            verdict = verdicts[playing[done]] = done.result()
            console.print(f"{_word(verdict)} {verdict.scenario}", style=_style(verdict), highlight=False)
    return [verdicts[one] for one in scenarios]


def _play(plan: Plan, scenario: Scenario, cloud: ConformanceCloud, folder: Path) -> Verdict:
    """One scenario, with a device, a CA and an enrollment group of its own."""
    began, name = time.monotonic(), name_of(scenario)
    trial = _prepare(plan, scenario, cloud, folder / name)
    try:
        with trial.as_is():
            scenario(trial)
    except NotMet as problem:
        return Verdict(name, False, str(problem), _since(began), trial.device.log)
    return Verdict(name, True, ", ".join(trial.notes), _since(began))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)


def _prepare(plan: Plan, scenario: Scenario, cloud: ConformanceCloud, folder: Path) -> Trial:
    is_short = scenario in SHORT_LIVED
    policy = _SHORT_POLICY if is_short else _POLICY
    device_id = f"{name_of(scenario)[:20]}-{uuid4().hex[:8]}"
    factory = Factory.build(folder, device_id)
    cloud.put_group(device_id, factory.authority, policy)
    return Trial(
        cloud=cloud,
        device=DeviceUnderTest.fresh(device_id, plan.command, factory, cloud.azure),
        group=device_id,
        policy=policy,
        patience_seconds=plan.patience_seconds,
        life_seconds=plan.short_life_seconds if is_short else _LONG_LIFE_SECONDS,
    )


def _show(verdicts: Sequence[Verdict], console: Console) -> None:
    table = Table("scenario", "", "seconds", "what it showed", title_justify="left")
    for verdict in verdicts:
        table.add_row(
            verdict.scenario, Text(_word(verdict), _style(verdict)), f"{verdict.seconds:.0f}", Text(verdict.detail)
        )
    console.print(table)
    for verdict in verdicts:
        if verdict.log and not verdict.has_passed:
            console.print(f"{verdict.scenario}: the device said last", style="red", highlight=False)
            console.print(verdict.log, markup=False, highlight=False, soft_wrap=True)
    passed = sum(verdict.has_passed for verdict in verdicts)
    console.print(f"{passed} of {len(verdicts)} scenarios passed.", style=_style_of(passed == len(verdicts)))


def _word(verdict: Verdict) -> str:
    return "passed" if verdict.has_passed else "FAILED"


def _style(verdict: Verdict) -> str:
    return _style_of(verdict.has_passed)


def _style_of(is_good: bool) -> str:
    return "green" if is_good else "red"
