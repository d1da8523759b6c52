"""A web server on loopback: folders, and MJPEG as network cameras send it, with the faults that they have."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media import flat


def jpeg(number: int) -> bytes:
    """A JPEG of the picture that `number_of` reads."""
    file = io.BytesIO()
    with av.open(file, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        image = flat(number)
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "yuvj444p"
        stream.options = {"qscale": "2"}
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))), *stream.encode(None)):
            container.mux(packet)
    return file.getvalue()


def part(data: bytes) -> bytes:
    """One part of multipart/x-mixed-replace."""
    return b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data)


class WebServer:
    """Serves `folder`, and at each path of `answers` what that gives: chunks of MJPEG, or a status and a body."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, Callable[[], Iterator[bytes]]] = {}
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[str] = []
        self.closing = threading.Event()  # what an answer that stops sending waits for
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, directory=str(folder)))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str, before: str = "") -> str:
        return f"http://{before}127.0.0.1:{self._server.server_address[1]}/{path}"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, owner: WebServer, *given: Any, **more: Any) -> None:
        self._owner = owner
        super().__init__(*given, **more)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self._owner.asked.append(name)
        try:
            if name in self._owner.pages:
                status, kind, body = self._owner.pages[name]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            elif name in self._owner.answers:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for chunk in self._owner.answers[name]():
                    self.wfile.write(chunk)
            else:
                super().do_GET()
        except OSError:  # the client has left
            self.close_connection = True
