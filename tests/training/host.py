"""A web host on this machine, for what fetches files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Host:
    """Answers GET as a host of raw files does. answers: by path, (status, body, headers); asked: paths, in order;
    headers: of each, as they were asked with."""

    url: str = ""
    answers: dict[str, list[tuple[int, bytes, dict[str, str]]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def put(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer `path` so; put again, it is what the next GET gets, and the last one is what all others get."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.answers.setdefault(path, []).append((status, body, named))


@contextmanager
def serving() -> Iterator[Host]:
    """A host while the block runs."""
    served = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.headers.append(dict(self.headers))
            answers = served.answers.get(self.path, [(404, b"404: Not Found", {})])
            status, body, headers = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            for key, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
