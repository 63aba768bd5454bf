"""Chart.js, which the dashboard draws with: npm installs it, and from there it is put among the files that are served.

It is not committed; `make setup` and `fleetcert package` put it there.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from shared.errors import FleetcertError

_PROJECT_ROOT: Final = Path(__file__).parents[2]
_SERVED: Final = Path("functions/static")
_FILES: Final = {
    "dist/chart.umd.min.js": "chart.umd.min.js",
    "LICENSE.md": "chart.LICENSE.md",
}
"""From the npm package to their names among ours."""


class NotInstalled(FleetcertError):
    """npm has not installed what is served from its packages."""


def bring_chart_library(project: Path = _PROJECT_ROOT) -> None:
    """Copies the library and its licence. Raises: NotInstalled."""
    installed = project / "node_modules" / "chart.js"
    if not installed.is_dir():
        raise NotInstalled(f"{installed} is missing: run `make setup`")
    for source, name in _FILES.items():
        shutil.copyfile(installed / source, project / _SERVED / name)


if __name__ == "__main__":
    bring_chart_library()
