"""Bicep files as trees: their resources, parameters and outputs. Syntax by tree-sitter; nothing is compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

ROOT: Final = Path(__file__).parents[2]
INFRA: Final = ROOT / "infra"
_PARSER: Final = Parser(Language(tree_sitter_bicep.language()))


@dataclass(frozen=True)
class Resource:
    """A resource declaration. type: without its version; text: from `resource` to the last brace."""

    file: Path
    symbol: str
    type: str
    text: str
    existing: bool
    body: Node

    def member(self, name: str, of: Node | None = None) -> Node | None:
        """The value of a property of the body, or of an object in it."""
        for entry in (of or self.body).named_children:
            if entry.type == "object_property" and _text(entry.named_children[0]).strip("'") == name:
                return entry.named_children[-1]
        return None

    def words(self, *path: str) -> str:
        """The text of the value at a path of properties, without quotes; empty where there is none."""
        node: Node | None = None
        for name in path:
            node = self.member(name, node)
            if node is None:
                return ""
        return _text(node).strip("'") if node is not None else ""


def files() -> list[Path]:
    """All Bicep files of the project."""
    return sorted(INFRA.rglob("*.bicep"))


@cache
def tree(file: Path) -> Node:
    """The root node."""
    return _PARSER.parse(file.read_bytes()).root_node


def syntax_errors(node: Node) -> Iterator[str]:
    """Line, column and text of what is no Bicep."""
    if node.type == "ERROR" or node.is_missing:
        yield f"{node.start_point[0] + 1}:{node.start_point[1] + 1} {_text(node)[:60]!r}"
    for child in node.children if node.has_error else ():
        yield from syntax_errors(child)


def resources(file: Path) -> Iterator[Resource]:
    """The resources that a file declares, those that exist already among them."""
    for node in tree(file).named_children:
        if node.type == "resource_declaration":
            symbol, kind = node.named_children[0], node.named_children[1]
            head = _text(node).partition("=")[0]
            yield Resource(
                file,
                _text(symbol),
                _text(kind).strip("'").partition("@")[0],
                _text(node),
                " existing" in head,
                _body(node),
            )


def declarations(file: Path, kind: str) -> dict[str, str]:
    """Name -> text of the declarations of a kind: `parameter`, `output`, `variable`, `module`."""
    return {
        _text(next(c for c in node.named_children if "identifier" in c.type)): _text(node)
        for node in tree(file).named_children
        if node.type == f"{kind}_declaration"
    }


def secure_parameters(file: Path) -> set[str]:
    """The parameters that carry `@secure()`."""
    return set(re.findall(r"@secure\(\)\s*(?:@description\('[^']*'\)\s*)?param (\w+)", file.read_text()))


def object_members(node: Node) -> dict[str, str]:
    """Name -> text of an object's properties."""
    return {
        _text(entry.named_children[0]).strip("'"): _text(entry.named_children[-1])
        for entry in node.named_children
        if entry.type == "object_property"
    }


def descendants(node: Node, kind: str) -> Iterator[Node]:
    """All nodes of a kind below."""
    for child in node.named_children:
        if child.type == kind:
            yield child
        yield from descendants(child, kind)


def _body(node: Node) -> Node:
    """The object of a declaration, below `if` and `for`."""
    return next(descendants(node, "object"))


def _text(node: Node) -> str:
    return (node.text or b"").decode()
