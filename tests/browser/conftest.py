"""A real browser for the tests of pages: Debian's chromium, driven over the WebDriver protocol with
nothing but urllib.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"right": "\ue014", "down": "\ue015", "left": "\ue012", "tab": "\ue004"}


class Browser:
    """One window of one browser."""

    def __init__(self, url: str, capabilities: dict[str, Any]) -> None:
        self._url = url
        wanted = {"capabilities": {"alwaysMatch": capabilities}}
        opened = self._call("POST", f"{url}/session", wanted)
        self._session = f"{url}/session/{opened['sessionId']}"

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def _post(self, path: str, **body: Any) -> Any:
        return self._call("POST", f"{self._session}/{path}", body)

    def open(self, path: Path) -> None:
        self._post("url", url=path.resolve().as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self._post("execute/sync", script=script, args=list(arguments))

    def find(self, selector: str) -> str:
        found: str = self._post("element", using="css selector", value=selector)[_ELEMENT]
        return found

    def text(self, selector: str) -> str:
        found: str = self._call("GET", f"{self._session}/element/{self.find(selector)}/text")
        return found

    def click(self, selector: str) -> None:
        self._post(f"element/{self.find(selector)}/click")

    def hover(self, selector: str) -> None:
        """Move the pointer there, as a hand would."""
        where = {_ELEMENT: self.find(selector)}
        self.run("arguments[0].scrollIntoView({block: 'center'})", where)
        moves = [{"type": "pointerMove", "duration": 0, "origin": where, "x": 0, "y": 0}]
        self._post(
            "actions",
            actions=[
                {
                    "type": "pointer",
                    "id": "mouse",
                    "parameters": {"pointerType": "mouse"},
                    "actions": moves,
                }
            ],
        )

    def tap(self, selector: str) -> None:
        """Touch it with a finger."""
        where = {_ELEMENT: self.find(selector)}
        self.run("arguments[0].scrollIntoView({block: 'center'})", where)
        steps = [
            {"type": "pointerMove", "duration": 0, "origin": where, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self._post(
            "actions",
            actions=[
                {
                    "type": "pointer",
                    "id": "finger",
                    "parameters": {"pointerType": "touch"},
                    "actions": steps,
                }
            ],
        )

    def press(self, key: str) -> None:
        steps = [{"type": "keyDown", "value": KEYS[key]}, {"type": "keyUp", "value": KEYS[key]}]
        self._post("actions", actions=[{"type": "key", "id": "keys", "actions": steps}])

    def resize(self, width: int, height: int) -> None:
        self._post("window/rect", width=width, height=height)

    def console(self) -> list[str]:
        """What the page complained of since this was last asked."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def requests(self) -> list[str]:
        """Every address asked for since this was last asked, but for the file itself and what it
        carries.
        """
        events = [
            json.loads(entry["message"])["message"]
            for entry in self._post("se/log", type="performance")
        ]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        asked = [
            e["request"]["url"] for e in sent if not e["documentURL"].startswith("chrome:")
        ]  # that of an empty window
        return [url for url in asked if not url.startswith("data:")]

    def pdf(self) -> bytes:
        return base64.b64decode(self._post("print", shrinkToFit=True))

    def screenshot(self, path: Path, height: int | None = None) -> None:
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        self.resize(size[0], height or size[1])
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def wait(self, script: str, seconds: float = 10.0) -> None:
        """Until an expression is true in the page."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({script})"):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def close(self) -> None:
        self._call("DELETE", self._session)


def _programs() -> tuple[str, str] | None:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


@contextmanager
def _driver(program: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="session")
def driver() -> Iterator[tuple[str, str]]:
    """Address of a running driver, and the browser that it drives."""
    found = _programs()
    if found is None:
        message = (
            "chromium or chromedriver is not installed (Debian: apt-get install chromium"
            " chromium-driver)"
        )
        if os.environ.get("RELSTATS_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{message}, but RELSTATS_REQUIRE_BROWSER=1 wants pages tested in it")
        pytest.skip(message)
    with _driver(found[1]) as url:
        yield url, found[0]


@pytest.fixture(scope="session")
def new_browser(
    driver: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Browser]]:
    """Start a browser with a profile of its own.

    `scripts=False` as a reader who allows none, `phone=True` on a small screen.
    """
    opened = []

    def start(*, scripts: bool = True, phone: bool = False) -> Browser:
        profile = tmp_path_factory.mktemp("profile")
        options: dict[str, Any] = {
            "binary": driver[1],
            "args": [*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900"],
        }
        if not scripts:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        if phone:
            options["mobileEmulation"] = {
                "deviceMetrics": {"width": 390, "height": 844, "pixelRatio": 2}
            }
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        opened.append(Browser(driver[0], wanted))
        return opened[-1]

    yield start
    for browser in opened:
        browser.close()
