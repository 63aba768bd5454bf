"""Where a passphrase comes from: a prompt, a file or the environment; never the command line, which others can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from shared.errors import NotPossible

FORMS: Final = "prompt, file:PATH or env:NAME"

type Prompt = Callable[[str], str]
"""Asks a person: what for -> the answer."""


def read_passphrase(source: str, purpose: str, environment: Mapping[str, str], prompt: Prompt) -> bytes:
    """The passphrase that `source` names, which is `prompt`, `file:PATH` (its first line) or `env:NAME`.

    purpose: what it opens, for whoever is asked. Raises: NotPossible.
    """
    kind, _, place = source.partition(":")
    match kind:
        case "prompt" if not place:
            text = prompt(f"Passphrase of {purpose}")
        case "file" if place:
            text = _first_line(Path(place))
        case "env" if place:
            text = environment.get(place, "")
        case _:  # the text is not repeated: it may be the passphrase itself
            raise NotPossible(f"a passphrase is given as {FORMS}, never itself")
    if not text:
        raise NotPossible(f"the passphrase of {purpose} is empty ({source})")
    return text.encode()


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise NotPossible(f"the passphrase file {path} cannot be read: {problem}") from problem
    return lines[0] if lines else ""
