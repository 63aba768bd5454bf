"""The deployed package: the same for the same sources, the app and nothing else, and able to stand alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from fleetcert.cli.chart_library import NotInstalled, bring_chart_library
from fleetcert.cli.package import build_package
from functions.static_files import static_files

PROJECT = Path(__file__).parents[3]
UNASKED = {"setuptools", "pysocks"}
"""What a development environment has and nobody asked for: a .pth hook, and what urllib3 uses where it finds it."""
LOAD_ALONE = """
import json, sys
package = sys.argv[1]
sys.path = [package, *(entry for entry in sys.path if "lib/python" in entry)]  # without the checkout
import function_app
for adapter in "alerts arm audit backlogs commands credential deadletters dps exports iothub".split():
    __import__(f"shared.adapters.{adapter}")
for adapter in "principal queues table".split():
    __import__(f"shared.adapters.{adapter}")
files = {name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}
print(json.dumps({"functions": len(function_app.app.get_functions()), "files": files}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_package(tmp_path_factory.mktemp("package") / "dist" / "app.zip")


def test_the_package_holds_the_app_and_nothing_else(package: Path):
    names = zipfile.ZipFile(package).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "function_app.py",
        "functions",
        "host.json",
        "requirements.txt",
        "shared",
    }
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".key", ".pem"))]


def test_the_package_holds_every_file_of_the_dashboard_and_the_library_that_it_draws_with(package: Path):
    archive = zipfile.ZipFile(package)
    served = {name: archive.read(f"functions/static/{name}") for name in static_files()}
    assert served == {name: file.content for name, file in static_files().items()}
    installed = PROJECT / "node_modules" / "chart.js"
    assert served["chart.umd.min.js"] == (installed / "dist" / "chart.umd.min.js").read_bytes()
    assert archive.read("functions/static/chart.LICENSE.md") == (installed / "LICENSE.md").read_bytes()


def test_without_the_library_there_is_no_package_and_the_fix_is_named(tmp_path: Path):
    with pytest.raises(NotInstalled, match="make setup"):
        bring_chart_library(tmp_path)


def test_the_same_sources_make_the_same_package(package: Path, tmp_path: Path):
    assert build_package(tmp_path / "again.zip").read_bytes() == package.read_bytes()


def test_what_is_ignored_stays_out_and_what_is_new_in_the_app_goes_in(tmp_path: Path):
    for name in ("function_app.py", "shared/a/b.py", "shared/__pycache__/b.pyc", "tests/t.py", "secret.pem"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".funcignore").write_text((PROJECT / ".funcignore").read_text())
    out = build_package(tmp_path / "dist" / "app.zip", tmp_path)
    assert zipfile.ZipFile(out).namelist() == ["function_app.py", "shared/a/b.py"]


def test_the_package_loads_alone(package: Path, tmp_path: Path):
    zipfile.ZipFile(package).extractall(tmp_path)
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", LOAD_ALONE, str(tmp_path)],
        cwd=tmp_path,
        env={},  # no settings: the app must load without them, or `health` could not tell which are missing
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    report = json.loads(loaded.stdout)
    assert report["functions"] == declared_functions()
    ours = {name for name in report["files"] if name.partition(".")[0] in ("function_app", "functions", "shared")}
    assert all(report["files"][name].startswith(str(tmp_path)) for name in ours)
    assert "fleetcert" not in report["files"]
    assert distributions_of(report["files"]) <= required() | UNASKED


def declared_functions() -> int:
    """How many functions the sources declare."""
    sources = [path.read_text() for path in (PROJECT / "functions").glob("*.py")]
    return sum(source.count("@blueprint.function_name(") + source.count("@serves(") for source in sources)


def distributions_of(modules: Iterable[str]) -> set[str]:
    """The distributions that these modules come from, but for those that no other package could bring."""
    owners = packages_distributions()
    roots = {name.partition(".")[0] for name in modules} - {"azure", "function_app", "functions", "shared"}
    return {normal(owners[root][0]) for root in roots if root in owners}


def required() -> set[str]:
    """The names that requirements.txt pins."""
    return {
        normal(name) for name in re.findall(r"^([\w.-]+)==", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    }


def normal(name: str) -> str:
    """A distribution's name as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
