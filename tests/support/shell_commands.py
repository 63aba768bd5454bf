"""Commands in scripts and in the code blocks of pages: enough of a shell's grammar to find every program called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FENCE: Final = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ENDS: Final = frozenset("\n;|&(){}")
_PREFIXES: Final = frozenset(("if", "then", "else", "elif", "while", "until", "do", "!", "eval", "return", "="))


@dataclass(frozen=True)
class Block:
    """A code block of a page. runs: unless the page says `not-run`."""

    page: Path
    language: str
    runs: bool
    text: str


@dataclass(frozen=True)
class Command:
    """A program with what follows it; quoted texts are empty words, substitutions commands of their own."""

    program: str
    words: tuple[str, ...]

    @property
    def verbs(self) -> tuple[str, ...]:
        """The words before the first that is no plain lower-case word: sub-commands, perhaps with a value."""
        plain = next((n for n, word in enumerate(self.words) if not re.fullmatch(r"[a-z][a-z0-9-]*", word)), None)
        return self.words[:plain]

    @property
    def options(self) -> frozenset[str]:
        """The long options that are given."""
        return frozenset(word.partition("=")[0] for word in self.words if re.fullmatch(r"--[a-z][\w-]*(=.*)?", word))


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in order."""
    return [
        Block(page, language, "not-run" not in remark, text)
        for language, remark, text in _FENCE.findall(page.read_text())
    ]


def spans(page: Path) -> list[str]:
    """The code that stands in a page's sentences."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", page.read_text()))


def commands(text: str, *programs: str) -> Iterator[Command]:
    """The calls of these programs in a script."""
    for words in _Scanner(re.sub(r"[\\`]\n\s*", " ", text)).calls:
        plain = [word for word in words if word not in _PREFIXES and not re.match(r"\w+=|\$\w+$|@$", word)]
        if plain and plain[0] in programs:
            yield Command(plain[0], tuple(plain[1:]))


class _Scanner:
    """Parts a script into calls, those in `$(...)` too. calls: the words of each."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.calls: list[list[str]] = []
        self._script(end="")

    def _script(self, end: str) -> None:
        """Up to the closing bracket, or the end."""
        words = [""]
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == end:
                break
            words = self._step(character, words)
        self.calls.append([word for word in words if word])

    def _step(self, character: str, words: list[str]) -> list[str]:
        if character == "'":
            self._at = max(self._text.find("'", self._at) + 1, self._at)
        elif character == '"':
            self._quoted()
        elif character == "$" and self._text.startswith("(", self._at):
            self._at += 1
            self._script(end=")")
        elif character == "#" and not words[-1]:
            self._at = self._text.find("\n", self._at) if "\n" in self._text[self._at :] else len(self._text)
        elif character in _ENDS:
            self.calls.append([word for word in words if word])
            return [""]
        elif character.isspace():
            words.append("")
        else:
            words[-1] += character
        return words

    def _quoted(self) -> None:
        while self._at < len(self._text) and self._text[self._at] != '"':
            if self._text.startswith("$(", self._at):
                self._at += 2
                self._script(end=")")
            else:
                self._at += 2 if self._text[self._at] == "\\" else 1
        self._at += 1
