"""What fleetcert costs a month at 1,000, 100,000 and 1,000,000 devices: the real services' requests, counted on
doubles, times the prices of `prices.json`. `python -m bench.monthly_cost` writes the table into docs/deploy.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from bench import counted_work
from bench.cost_model import Counted, Line, Month, Tariff
from bench.counted_work import RENEWED, TIMERS
from bench.results import Result
from bench.runner import Effort

SIZES: Final = (1_000, 100_000, 1_000_000)
PAGE: Final = Path(__file__).parents[1] / "docs/deploy.md"
BEGIN, END = "<!-- cost: written by python -m bench.monthly_cost -->\n", "<!-- end of cost -->"


def measure(effort: Effort) -> Sequence[Result]:
    """The counted requests of a renewal, and the month at each size. The same for every effort: nothing is timed."""
    counted, tariff = count(), Tariff.read()
    renewal = Result(
        name="table_requests_per_renewal",
        value=counted.renewal["table"],
        unit="requests",
        limit="decided, queued, sent, confirmed by feedback, reported, told and audited, one event a batch",
    )
    months = (
        Result(
            name=f"month_of_{devices}_devices",
            value=sum(line.dollars for line in Month(devices, counted, tariff).lines()),
            unit="USD",
            limit=f"prices of {tariff.date}, {tariff.region}; its lines stand in docs/deploy.md",
        )
        for devices in SIZES
    )
    return [renewal, *months]


@cache
def count() -> Counted:
    """Runs the services over doubles and counts, once a process."""
    return asyncio.run(_counted())


def table(counted: Counted, tariff: Tariff) -> str:
    """The bill of each size beside the others, as Markdown."""
    months = [Month(devices, counted, tariff).lines() for devices in SIZES]
    narrow = [Month(devices, counted, tariff.without_foreign_twin_changes()).lines() for devices in SIZES]
    header = "| a month, US dollars | " + " | ".join(f"{devices:,} devices" for devices in SIZES) + " |"
    rows = [_row(lines) for lines in zip(*months, strict=True)]
    totals = [_totals("together", months), _totals("together, with the narrow route", narrow)]
    return "\n".join([header, "|---|" + "---:|" * len(SIZES), *rows, *totals, *_counts(counted), ""])


def written(page: str, counted: Counted, tariff: Tariff) -> str:
    """The page with the table of now."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}{table(counted, tariff)}{END}{rest.partition(END)[2]}"


async def _counted() -> Counted:
    ticks = await counted_work.idle_ticks()
    wave, history_bytes = await counted_work.renewals()
    for name in ("SWEEP_SCHEDULE", "FEEDBACK_SCHEDULE", "AUDIT_SCHEDULE"):  # they tick without a renewal too
        wave.subtract(ticks[name])
    walks = {name: await counted_work.walk(name) for name in counted_work.WALKS}
    return Counted(
        renewal={meter: count / RENEWED for meter, count in wave.items()},
        ticks=ticks,
        walk={name: fixed for name, (fixed, _) in walks.items()},
        walk_per_device={name: each for name, (_, each) in walks.items()},
        device_bytes=counted_work.device_bytes(),
        history_bytes=history_bytes / RENEWED,
    )


def _row(lines: Sequence[Line]) -> str:
    cells = " | ".join(f"{line.dollars:,.2f} ({line.quantity})" for line in lines)
    return f"| {lines[0].name} | {cells} |"


def _totals(name: str, months: Sequence[Sequence[Line]]) -> str:
    sums = " | ".join(f"**{sum(line.dollars for line in month):,.0f}**" for month in months)
    return f"| **{name}** | {sums} |"


def _counts(counted: Counted) -> Iterator[str]:
    """What was counted, in words."""
    renewal = ", ".join(_said(counted.renewal))
    idle = ", ".join(f"`{name}` {sum(counted.ticks[name].values()):.0f}" for name in sorted(TIMERS))
    yield ""
    yield f"Counted for one renewal: {renewal}. Counted for a tick that finds nothing: {idle}."


def _said(counts: Mapping[str, float]) -> Iterator[str]:
    for meter, words in counted_work.METERS.items():
        if counts.get(meter):
            yield f"{counts[meter]:.1f} {words}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), count(), Tariff.read()))
