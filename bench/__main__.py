"""`python -m bench [--only NAME]... [--quick] [--output FILE]`: measures, prints a table and writes a list of results.

The exit code is 0 where every goal is met.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.results import table, write
from bench.runner import BENCHES, Effort, UnknownBench, run

LATEST = Path(__file__).parent / "results" / "latest.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 where all goals are met, 1 where one is missed, 2 for a bench that nobody knows."""
    options = _parser().parse_args(arguments)
    console = Console(width=160) if not sys.stdout.isatty() else Console()
    results = []
    try:
        for result in run(options.only, Effort(quick=options.quick)):
            results.append(result)
            console.print(f"[dim]measured {result.name}[/]")
    except UnknownBench as unknown:
        console.print(f"[red]no such bench:[/] {unknown}")
        return 2
    console.print(table(results))
    if output := options.output or (None if options.quick or options.only else LATEST):
        write(results, output)
        console.print(f"written to {output}")
    return 0 if all(result.met is not False for result in results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=f"one of {', '.join(BENCHES)}")
    parser.add_argument("--quick", action="store_true", help="a smoke test: small sizes, figures that mean little")
    parser.add_argument(
        "--output", type=Path, help="where the list goes (default after a whole run: results/latest.json)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
