"""What the test suite needs to know of the machine: is torch installed, are the real data sets
here.

It lies at the root because the doctests of `relstats/` need it as much as `tests/` does.
Nothing is left out in silence: the closing lines of a run count what could not be tested, with any
number of workers.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# Set before numpy and torch are loaded: a worker of pytest-xdist has one core, for which one thread
# for each core in each worker would fight. Processes that tests start inherit it.
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

# Folders and files that can only be imported with an optional package.
NEEDS = {
    "tests/compute": "torch",
    "tests/demo": "torch",
    "relstats/compute": "torch",
    "relstats/demo": "torch",
    "relstats/inputs/virelay.py": "h5py",
    "relstats/report": "jinja2",
}

REAL_SKIPS = pytest.StashKey["RealSkips"]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REAL_SKIPS] = RealSkips()
    config.pluginmanager.register(config.stash[REAL_SKIPS])
    folder = os.environ.get("RELSTATS_DATA")
    if folder and not Path(folder).is_dir():
        raise pytest.UsageError(
            f"RELSTATS_DATA={folder!r} is not a folder: unset it, or name the data's folder"
        )


def untestable(root: Path) -> dict[str, str]:
    """Return the paths that are there but cannot be imported, with the package that each lacks."""
    return {
        path: package
        for path, package in NEEDS.items()
        if (root / path).exists() and importlib.util.find_spec(package) is None
    }


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = {config.rootpath / path for path in untestable(config.rootpath)}
    return True if collection_path in left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("RELSTATS_DATA"):
        return
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.skip(reason="RELSTATS_DATA is unset"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark the skips of `real` tests, and fail them where RELSTATS_REQUIRE_REAL=1 (as in CI)."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("real"):
        report.is_real_skip = True  # a worker's report takes it along
        if os.environ.get("RELSTATS_REQUIRE_REAL") == "1":
            report.outcome = "failed"
            report.longrepr = (
                f"skipped, but RELSTATS_REQUIRE_REAL=1 wants it run: {report.longrepr}"
            )
    return report


class RealSkips:
    """Counts the skips of `real` tests, of all workers where there are any."""

    def __init__(self) -> None:
        self.n = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the report of a test, which a worker sends to where the summary is written."""
        self.n += getattr(report, "is_real_skip", False)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for path, package in untestable(config.rootpath).items():
        message = f"{path} not tested: {package} is not installed (make test)"
        terminalreporter.write_line(message, yellow=True)
    pages = config.rootpath / "tests" / "browser"
    if pages.exists() and not (shutil.which("chromium") and shutil.which("chromedriver")):
        terminalreporter.write_line(
            "pages not tested in a browser: chromium or chromedriver is not installed", yellow=True
        )
    skips = config.stash[REAL_SKIPS].n
    if skips:
        reason = (
            "see their own reasons" if os.environ.get("RELSTATS_DATA") else "RELSTATS_DATA is unset"
        )
        terminalreporter.write_line(f"{skips} real-data tests skipped: {reason}", yellow=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data sets; only for tests marked `real`."""
    return Path(os.environ["RELSTATS_DATA"])
