"""What a bench finds: a value, what it is measured against, and whether its goal is met."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from rich.table import Table

type Sign = Literal[">=", "<=", "+-"]

_PASSES: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "+-": lambda ratio, tolerance: abs(ratio - 1) <= tolerance,
}


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a result. `+-`: the ratio is 1, give or take the bound."""

    sign: Sign
    bound: float

    def __str__(self) -> str:
        return f"1 +- {self.bound:g}" if self.sign == "+-" else f"{self.sign} {self.bound:g}"

    def is_met(self, measured: float) -> bool:
        """Whether what was measured keeps the bound."""
        return _PASSES[self.sign](measured, self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row. With `against` the goal is on the ratio, without it on the value; no goal: for information.

    also: a condition beside the goal, named, that must hold too. limit: what limits the value, or what it means.
    """

    name: str
    value: float
    unit: str
    against: float | None = None
    goal: Goal | None = None
    also: Mapping[str, bool] = field(default_factory=dict)
    limit: str = ""

    @property
    def ratio(self) -> float | None:
        """value / against."""
        return None if self.against is None else self.value / self.against

    @property
    def met(self) -> bool | None:
        """Whether goal and conditions hold; None where nothing is demanded."""
        if self.goal is None and not self.also:
            return None
        measured = self.value if self.ratio is None else self.ratio
        return all(self.also.values()) and (self.goal is None or self.goal.is_met(measured))

    def document(self) -> dict[str, Any]:
        """As in `results/latest.json`."""
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "against": _rounded(self.against),
            "ratio": _rounded(self.ratio),
            "goal": str(self.goal) if self.goal else None,
            "met": self.met,
        }


def write(results: Sequence[Result], file: Path) -> None:
    """Writes the results as a JSON list."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([result.document() for result in results], indent=2) + "\n", encoding="utf-8")


def table(results: Sequence[Result]) -> Table:
    """The results for a terminal."""
    shown = Table(title="fleetcert, measured", title_justify="left", show_lines=True)
    for column in ("name", "value", "against", "ratio", "goal", "met"):
        shown.add_column(column, justify="left" if column in ("name", "goal", "met") else "right", no_wrap=True)
    shown.add_column("what limits it")
    for result in results:
        shown.add_row(*_cells(result))
    return shown


def _cells(result: Result) -> tuple[str, ...]:
    goal = "" if result.goal is None else str(result.goal)
    met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[result.met]
    failed = [f"not so: {name}" for name, holds in result.also.items() if not holds]
    return (
        result.name,
        f"{_shown(result.value)} {result.unit}",
        _shown(result.against),
        _shown(result.ratio),
        goal,
        met,
        "; ".join([*failed, result.limit]),
    )


def _shown(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.6g}")
