"""A headless Chromium, told what to do by its DevTools protocol over a WebSocket."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")


class Tab:
    """One page."""

    def __init__(
        self, socket: ClientConnection, domains: tuple[str, ...] = ("Page", "Runtime", "Log", "Network")
    ) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.told: list[dict[str, Any]] = []  # what the browser said by itself
        for domain in domains:
            self.call(f"{domain}.enable")

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": given}))
        while True:
            message = json.loads(self._socket.recv(20))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self.told.append(message)

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str, seconds: float = 20.0) -> Any:
        """Wait until an expression holds; its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.ask(expression)):
            assert time.monotonic() < deadline, f"{expression} did not come to hold"
            time.sleep(0.05)
        return value

    def screenshot(self, path: Path) -> None:
        """Write what the page looks like, a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def show_as(self, width: int, height: int, scale: float, scheme: str) -> None:
        """The size of the screen in CSS pixels, and light or dark."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
            mobile=width < 600,
        )  # fmt: skip
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def complaints(self) -> list[str]:
        """Exceptions, errors of the console, and breaches of the page's policy."""
        self.ask("1")
        found = []
        for message in self.told:
            if message["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(message["params"]["exceptionDetails"])[:400])
            elif message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                found.append(f"{message['params']['entry']['text']} {message['params']['entry'].get('url', '')}")
        return found

    def hosts(self) -> set[str]:
        """Where the page's requests went."""
        self.ask("1")
        sent = (m["params"]["request"]["url"] for m in self.told if m["method"] == "Network.requestWillBeSent")
        return {url.split("/")[2] for url in sent if not url.startswith("data:")}


class Browser:
    """A running Chromium."""

    def __init__(self, port: int, kept: ExitStack) -> None:
        self._address = f"127.0.0.1:{port}"
        self._kept = kept
        with urllib.request.urlopen(f"http://{self._address}/json/version", timeout=10) as answer:
            url = json.load(answer)["webSocketDebuggerUrl"]
        self._own = Tab(kept.enter_context(connect(url, max_size=None, max_queue=None)), domains=())

    def tab(self) -> Tab:
        """Another page, in a window of its own, so that it and those before it are all seen."""
        target = self._own.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        url = f"ws://{self._address}/devtools/page/{target}"
        return Tab(self._kept.enter_context(connect(url, max_size=None, max_queue=None)))


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Run one; its profile is in `folder`."""
    assert PROGRAM is not None
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
    arguments += ["--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = folder / "DevToolsActivePort"
        deadline = time.monotonic() + 30
        while not (told.exists() and told.read_text().count("\n")):
            assert time.monotonic() < deadline, "Chromium did not start"
            time.sleep(0.05)
        with ExitStack() as kept:
            yield Browser(int(told.read_text().split()[0]), kept)
    finally:
        process.terminate()
        process.wait(10)
