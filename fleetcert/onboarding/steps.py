"""What onboarding does is a row of steps. Each looks before it acts, so that a row may be run again from its start.

That is all there is to resuming: what is there already is kept, and no journal can contradict the files and Azure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.errors import NotPossible


class Verdict(StrEnum):
    """What a step would do, or did."""

    KEEP = "kept"
    MAKE = "made"
    REPLACE = "replaced"
    REFUSE = "refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look has shown. detail: what is there, is to come, or is wrong, for people."""

    verdict: Verdict
    detail: str


class Step(Protocol):
    """One thing that has to be there."""

    @property
    def title(self) -> str:
        """What it is."""

    async def look(self) -> Finding:
        """Whether it is there; changes nothing. Raises: NotPossible where that cannot be told."""

    async def apply(self) -> str:
        """Makes it, as the last look has found it to be wanted; what is there now, for people."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a step. planned: it was a rehearsal, and nothing was changed."""

    title: str
    verdict: Verdict
    detail: str
    planned: bool = False


async def carry_out(steps: Iterable[Step], *, dry_run: bool = False) -> AsyncIterator[Outcome]:
    """Looks at each step and does what is missing. A rehearsal looks at all of them, whatever they say.

    Raises: NotPossible at the first step that is refused; what was done before stays.
    """
    for step in steps:
        finding = await step.look()
        if dry_run or finding.verdict is Verdict.KEEP:
            yield Outcome(step.title, finding.verdict, finding.detail, planned=dry_run)
        elif finding.verdict is Verdict.REFUSE:
            raise NotPossible(f"{step.title}: {finding.detail}")
        else:
            yield Outcome(step.title, finding.verdict, await step.apply())
