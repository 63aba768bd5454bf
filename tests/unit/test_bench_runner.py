"""The benches can be run, and say so when a goal is missed: `python -m bench --quick`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from bench import runner
from bench.__main__ import main
from bench.results import Goal, Result, write
from bench.runner import BENCHES, Effort, in_turn

PURE = ("requests_per_change", "sweep_requests", "decisions_per_second", "record_bytes", "issue_vs_floor")
"""Benches that start no process."""


def test_every_named_bench_is_a_module_that_measures() -> None:
    for name in BENCHES:
        assert callable(importlib.import_module(f"bench.{name}").measure)


def test_a_quick_run_writes_a_list_of_results(tmp_path: Path) -> None:
    file = tmp_path / "latest.json"
    main([*(option for name in PURE for option in ("--only", name)), "--quick", "--output", str(file)])
    results = json.loads(file.read_text())
    names = [result["name"] for result in results]
    assert {"requests_per_change", "sweep_requests_1m_vs_10k", "decisions_per_second", "record_bytes"} <= set(names)
    assert all(set(r) == {"name", "value", "unit", "against", "ratio", "goal", "met"} for r in results)
    assert all(r["value"] > 0 for r in results)


def test_the_sweeps_cost_follows_what_is_due(tmp_path: Path) -> None:
    file = tmp_path / "latest.json"
    main(["--only", "sweep_requests", "--quick", "--output", str(file)])
    [requests] = [r for r in json.loads(file.read_text()) if r["name"] == "sweep_requests_1m_vs_10k"]
    assert requests["met"] is True


def test_a_bench_that_nobody_knows_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "speed"]) == 2
    assert "speed" in capsys.readouterr().out


def test_a_missed_goal_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Slow:
        @staticmethod
        def measure(effort: Effort) -> list[Result]:
            return [Result(name="slow", value=1, unit="events/s", against=2, goal=Goal(">=", 0.9))]

    monkeypatch.setattr(runner.importlib, "import_module", lambda _: Slow)
    assert main(["--only", "record_bytes", "--output", str(tmp_path / "r.json")]) == 1


@pytest.mark.parametrize(
    ("goal", "value", "against", "met"),
    [
        (Goal(">=", 0.9), 9.0, 10.0, True),
        (Goal(">=", 0.9), 8.9, 10.0, False),
        (Goal("<=", 1.3), 13.0, 10.0, True),
        (Goal("<=", 1.5), 1.6, None, False),
        (Goal("+-", 0.05), 94.0, 100.0, False),
        (Goal("+-", 0.05), 104.0, 100.0, True),
        (None, 1.0, None, None),
    ],
)
def test_a_goal_is_on_the_ratio_where_there_is_something_to_compare_with(
    goal: Goal | None, value: float, against: float | None, met: bool | None
) -> None:
    assert Result(name="x", value=value, unit="", against=against, goal=goal).met is met


def test_a_condition_beside_the_goal_must_hold_too() -> None:
    result = Result(name="x", value=1, unit="", goal=Goal(">=", 0.9), also={"no storage request": False})
    assert result.met is False


def test_both_sides_are_measured_in_turn_and_the_first_of_them_too() -> None:
    order: list[str] = []

    def side(name: str, values: list[float]) -> float:
        order.append(name)
        return values.pop()

    ours, theirs = [5.0, 1.0, 3.0], [6.0, 2.0, 4.0]
    assert in_turn(3, lambda: side("ours", ours), lambda: side("theirs", theirs)) == (3.0, 4.0)
    assert order == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]


def test_numbers_are_written_short(tmp_path: Path) -> None:
    write([Result(name="x", value=1 / 3, unit="s")], tmp_path / "deep" / "r.json")
    [result] = json.loads((tmp_path / "deep" / "r.json").read_text())
    assert (result["value"], result["against"], result["ratio"], result["met"]) == (0.333333, None, None, None)
