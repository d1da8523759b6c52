"""An RTSP server that can be killed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path


class RtspServer:
    """A real RTSP server in a process of its own, so that it can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        code = (
            "import asyncio, sys\nfrom aio_rtsp_toolkit.server import serve\n"
            "asyncio.run(serve(sys.argv[1], '127.0.0.1', int(sys.argv[2])))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(self.folder), str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("the RTSP server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def url(self, name: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{name}"
