"""Who may ask: who has the token; without one, this machine alone; never the page of another site."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vljepa_edge.errors import InputError
from vljepa_edge.serve.refusal import Refusal

SHORTEST_TOKEN = 16
_OPEN = ("/health",)  # for whoever restarts containers
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_ASK_POLICY = "default-src 'none'; form-action 'self'; frame-ancestors 'none'"
_ASK = """<!doctype html><html lang="en"><meta charset="utf-8"><title>vljepa</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<form method="get" action="/">
<label>Token <input name="token" type="password" autocomplete="current-password" autofocus></label>
<button>Open</button></form></html>"""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_token(token: str | None, host: str) -> str | None:
    """The token that a server on `host` asks for; None: it asks for none. Raises InputError where it must have one, and
    for one that is easy to guess or that no header can hold."""
    if not token:
        if not is_loopback(host):
            raise InputError(
                f"a server on {host} can be reached from other machines, so it must have a token; set VLJEPA_TOKEN, "
                "or serve on 127.0.0.1"
            )
        return None
    if len(token) < SHORTEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        raise InputError(
            f"a token must be at least {SHORTEST_TOKEN} letters, digits and signs of ASCII, no spaces, got {len(token)}"
        )
    return token


class Access:
    """Middleware: lets in who may, and says to browsers what answers may be used for.

    Without a token a request must name this machine (an address of its own, or localhost): a page of another site that
    points its name here is refused. A request that changes something, and a WebSocket, must come from no other site.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token
        secret = (token or "").encode()
        self._pass = hmac.new(secret, b"vljepa_edge.serve cookie", hashlib.sha256).hexdigest()
        self._cookie = f"vljepa_{self._pass[:8]}"  # a name of its own for each server of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = self._answer(scope)
        if answer is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await answer(scope, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, scope: Scope) -> Response | None:
        """What to answer instead of the app; None: the app answers."""
        headers = Headers(scope=scope)
        path: str = scope["path"]
        is_page = path == "/" and scope.get("method") in ("GET", "HEAD")
        if self._token is None:
            host = _hostname(headers.get("host", ""))
            if host is None or not is_loopback(host):
                return refuse(Refusal(403, "WrongHost", "without a token this server is localhost or 127.0.0.1 only"))
        elif path not in _OPEN and not self._admits(headers):
            given = QueryParams(scope["query_string"]).get("token") if is_page else None
            if given is not None and self._is_token(given):
                return self._let_in(scope)
            if is_page:
                return HTMLResponse(_ASK, 401, {"content-security-policy": _ASK_POLICY})
            challenge = {"www-authenticate": "Bearer"}
            return refuse(Refusal(401, "NoToken", "send the token: Authorization: Bearer TOKEN"), challenge)
        if self._token is not None and is_page and b"token=" in scope["query_string"]:
            return self._let_in(scope)  # a token stays in no address bar
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and origin is not None and _netloc(origin) != headers.get("host", "").lower():
            return refuse(Refusal(403, "OtherSite", "pages of other sites may not use this server"))
        return None

    def _admits(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(token.strip()):
            return True
        # As browsers take them: cookies of other servers of this host come, too, and not all are as the standard wants.
        given = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        return hmac.compare_digest(given.encode(), self._pass.encode())

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    def _let_in(self, scope: Scope) -> Response:
        """To the page without the token in its address. The cookie holds no token: it can't be used elsewhere."""
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._cookie, self._pass, httponly=True, samesite="strict", secure=scope["scheme"] == "https",
            max_age=30 * 86400,
        )  # fmt: skip
        return answer


def refuse(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that is refused."""
    return JSONResponse({"error": {"type": refusal.kind, "message": str(refusal)}}, refusal.status, headers)


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _with_headers(send: Send) -> Any:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
