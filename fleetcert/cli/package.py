"""The deployed package: what `.funcignore` leaves in, as a zip that is the same for the same sources."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

_PROJECT_ROOT: Final = Path(__file__).parents[2]
_OLDEST_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""The least date that a zip can hold; a file's own would make every build another."""
_READABLE_FILE: Final = 0o100644 << 16


def build_package(out: Path, project: Path = _PROJECT_ROOT) -> Path:
    """Writes the package to the file `out` (its folder is made where missing) and returns it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w") as archive:
        for name in packaged_files(project):
            entry = zipfile.ZipInfo(name, _OLDEST_DATE)
            entry.external_attr = _READABLE_FILE
            archive.writestr(entry, (project / name).read_bytes(), zipfile.ZIP_DEFLATED)
    return out


def packaged_files(project: Path = _PROJECT_ROOT) -> list[str]:
    """The names, relative to the project and sorted, that Core Tools and azd would deploy."""
    ignored = GitIgnoreSpec.from_lines((project / ".funcignore").read_text().splitlines())
    return sorted(name for name in _files(project, project, ignored))


def _files(project: Path, folder: Path, ignored: GitIgnoreSpec) -> Iterator[str]:
    for path in folder.iterdir():
        name = path.relative_to(project).as_posix()
        if path.is_dir():
            if not ignored.match_file(f"{name}/"):
                yield from _files(project, path, ignored)
        elif not ignored.match_file(name):
            yield name
