"""Carrying out steps at a terminal: one run at a time in a folder, and a line for each step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from fleetcert.onboarding.steps import Outcome, Step, Verdict, carry_out
from fleetcert.onboarding.workspace import Workspace

_STYLES = {Verdict.KEEP: "dim", Verdict.MAKE: "green", Verdict.REPLACE: "yellow", Verdict.REFUSE: "red"}
_INDENT = 18


async def perform(folder: Path | None, steps: Sequence[Step], *, dry_run: bool) -> None:
    """Says what came of each step, as it is done. folder: where files are written, kept from others meanwhile.

    Raises: NotPossible at the first step that is refused, FleetcertError.
    """
    console = Console(soft_wrap=True, highlight=False)
    with Workspace(folder).locked() if folder and not dry_run else nullcontext():
        async for outcome in carry_out(steps, dry_run=dry_run):
            show(console, outcome)
    if dry_run:
        console.print("Nothing was changed.")


def perform_here(folder: Path, steps: Sequence[Step], *, dry_run: bool) -> None:
    """The same for steps that need no Azure."""
    asyncio.run(perform(folder, steps, dry_run=dry_run))


def show(console: Console, outcome: Outcome) -> None:
    """What was done or would be, to what, and what is there now; the detail's further lines are indented."""
    words = (
        f"would be {outcome.verdict}" if outcome.planned and outcome.verdict is not Verdict.KEEP else outcome.verdict
    )
    console.print(f"{words:<{_INDENT}}", style=_STYLES[outcome.verdict], end="")
    first, *more = outcome.detail.splitlines() or [""]
    console.print(f"{outcome.title}: {first}", markup=False)
    for line in more:
        console.print(f"{'':{_INDENT}}{line}", markup=False)
