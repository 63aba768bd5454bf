"""What a person sees while the demo runs, and at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from fleetcert.local.demo.claims import Summary

_STATES: Final = {
    "provisional": "cyan",
    "valid": "green",
    "due": "yellow",
    "dispatching": "yellow",
    "commanded": "yellow",
    "overdue": "red",
    "expired": "bold red",
    "disabled": "magenta",
    "unknown": "white",
}
_MEANINGS: Final = {
    "devices": "identities in IoT Hub's registry",
    "issued": "certificates that ADR issued",
    "recorded_exactly": "records that are the real certificate, its end to the second",
    "commands_sent": "cloud-to-device commands that IoT Hub took",
    "renewed": "devices connected with a new certificate",
    "overdue": "devices that escalated",
    "refused_by_hub": "connections of the disabled device that IoT Hub refused",
    "blocked_by_dps": "registrations of the disabled device that DPS refused",
    "alerts": "CloudEvents that the Event Grid topic took",
    "dead_letters": "unreadable events kept for a person",
    "exported": "devices in the file that the app wrote for the operator",
    "seconds": "from the first device to the last claim",
    "peak_rss_mb": "memory of everything together, MB",
}


class Screen:
    """Progress bars for the demo's stages, the fleet by state, and the last things that happened."""

    def __init__(self) -> None:
        self._progress = Progress(TextColumn("{task.description:<42}"), BarColumn(), MofNCompleteColumn())
        self._tasks: dict[str, Any] = {}
        self._happened: list[str] = []
        self._states: Counter[str] = Counter()
        self._doing: Counter[str] = Counter()
        self.seconds = 0.0

    def stage(self, name: str, done: int, of: int) -> None:
        """How far a stage of the demo is."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=of)
        self._progress.update(self._tasks[name], completed=min(done, of))

    def fleet(self, states: Counter[str], doing: Counter[str]) -> None:
        """The devices by their state in the app's records, and by what they say they are doing themselves."""
        self._states, self._doing = states, doing

    def tell(self, text: str) -> None:
        """Something worth a line."""
        self._happened = [*self._happened[-7:], f"{self.seconds:5.0f} s  {text}"]

    def __rich__(self) -> RenderableType:
        states = Text("  ").join(
            Text(f"{state} {self._states[state]}", style=style)
            for state, style in _STATES.items()
            if self._states[state]
        )
        doing = Text("devices: ", style="dim").append(", ".join(f"{n} {what}" for what, n in self._doing.most_common()))
        title = Text(f"fleetcert demo  {self.seconds:.0f} s", style="bold")
        return Group(title, Text(), self._progress, Text(), states, doing, Text(), *map(Text, self._happened))


def show_summary(console: Console, summary: Summary) -> None:
    """The table at the end, and what did not hold."""
    table = Table("what", "count", "checked against", title="What happened", title_justify="left")
    for one in fields(summary):
        if one.name in _MEANINGS:
            value = getattr(summary, one.name)
            table.add_row(one.name, f"{value:.1f}" if isinstance(value, float) else str(value), _MEANINGS[one.name])
    console.print(table)
    for failure in summary.failures:
        console.print(f"did not hold: {failure}", style="red", markup=False, soft_wrap=True)
    if not summary.failures:
        console.print("Every claim held.", style="green")
