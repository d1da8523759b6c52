"""The live page in a real browser: events appear, what is asked changes, pages come back when the server does."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from tests.media import write_video
from tests.serve.cameras import camera, until
from tests.serve.chromium import PROGRAM, Browser, Tab, chromium
from tests.serve.running import Running
from vljepa_edge.model import Model
from vljepa_edge.serve.hub import Hub, Limits
from vljepa_edge.streaming.options import StreamOptions

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here; apt-get install chromium"),
    pytest.mark.alone,
]

OPTIONS = StreamOptions(policy="uniform:period=2")
ROWS = "document.querySelectorAll('#timeline li').length"
HOSTILE = "<img src=x onerror=document.title='broken'>"
TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def serve(model: Model, port: int = 0, token: str | None = None) -> Running:
    running = Running(Hub(model, Limits(), OPTIONS), port, token)
    running.hub.add(camera(speed=4.0), "door")
    return running


@pytest.fixture
def running(model: Model) -> Iterator[Running]:
    served = serve(model)
    yield served
    served.stop()


@pytest.fixture
def tab(browser: Browser, running: Running) -> Tab:
    opened = browser.tab()
    opened.open(f"http://127.0.0.1:{running.port}/")
    return opened


def fill(tab: Tab, **fields: str) -> None:
    """Write into the form as a person would, and send it."""
    for name, text in fields.items():
        tab.ask(f"document.getElementById('{name}').focus()")
        tab.ask(f"document.getElementById('{name}').select()")
        tab.call("Input.insertText", text=text)
    tab.ask("document.querySelector('#ask button').click()")


def tap(tab: Tab, selector: str) -> None:
    """Press what is seen at the place of an element, large enough for a finger."""
    tab.until(f"(document.querySelector('{selector}')?.getBoundingClientRect().height ?? 0) > 0")
    tab.ask(f"document.querySelector('{selector}').scrollIntoView({{block: 'center'}})")
    box = tab.ask(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
    assert box["width"] >= 24 and box["height"] >= 24, box
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "button": "left", "clickCount": 1}
    for kind in ("mousePressed", "mouseReleased"):
        tab.call("Input.dispatchMouseEvent", type=kind, **place)


def test_events_appear_at_once_with_text_picture_curve_and_counts(tab: Tab, running: Running) -> None:
    tab.until(f"{ROWS} > 8")
    delays = tab.ask("[...document.querySelectorAll('#timeline button')].map(row => Number(row.dataset.delay))")
    assert statistics.median(delays[:6]) < 0.2  # the bar; the first of the page are older than it
    rows = tab.ask("[...document.querySelectorAll('#timeline .text')].map(text => text.textContent)")
    assert rows[-1] and "…" not in rows[-1]
    tab.until("document.getElementById('picture').naturalWidth === 32")
    tab.until("Number(document.querySelector('#figures dd').textContent) > 4")
    ink = (
        "(() => {const c = document.getElementById('curve'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; return d.some((v, i) => i % 4 === 3 && v > 0)})()"
    )
    tab.until(ink)
    tab.ask("document.querySelector('#timeline li:last-child button').click()")
    tab.until("document.getElementById('detail').open && document.getElementById('detail-picture').naturalWidth === 32")
    assert tab.complaints() == []
    assert tab.hosts() == {f"127.0.0.1:{running.port}"}


def test_what_is_asked_and_watched_for_changes_and_is_never_taken_for_html(tab: Tab, running: Running) -> None:
    tab.until(f"{ROWS} > 0 && document.getElementById('policy').value !== ''")
    fill(tab, query=f"Which colour?\n{HOSTILE}", watch=f"red, {HOSTILE}")
    tab.until("document.getElementById('said').textContent === 'Changed.'")
    stream = running.hub.channel("door").stream
    assert stream.queries == ("Which colour?", HOSTILE) and stream.watched == ("red", HOSTILE)
    running.hub.change("door", watch={"red": 0.001, HOSTILE: 0.001})
    tab.until(f"[...document.querySelectorAll('.label .text')].some(t => t.textContent === {json.dumps(HOSTILE)})")
    tab.until(f"[...document.querySelectorAll('.asked')].some(t => t.textContent === {json.dumps(HOSTILE)})")
    assert tab.ask("document.querySelectorAll('#timeline img').length") == 0
    assert tab.ask("document.title") == "vljepa" and tab.complaints() == []
    fill(tab, policy="nosuch")
    assert "policy must be one of" in tab.until("document.querySelector('#said.bad')?.textContent")
    assert str(stream.policy) == "uniform:period=2.0"


def test_a_second_tab_sees_the_same_and_a_hidden_one_takes_no_connection(
    tab: Tab, browser: Browser, running: Running
) -> None:
    tab.until(f"{ROWS} > 2")
    second = browser.tab()
    second.open(f"http://127.0.0.1:{running.port}/")
    second.until(f"{ROWS} > 4")
    until(lambda: running.hub.feed.clients == 2)
    tab.until(f"{ROWS} > 4")
    keys = "[...document.querySelectorAll('#timeline button')].map(row => row.dataset.key)"
    assert second.ask(keys)[-4:] == tab.ask(keys)[-4:]
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true}); "
    told = "document.dispatchEvent(new Event('visibilitychange'))"
    second.ask(hide % "true" + told)
    until(lambda: running.hub.feed.clients == 1)
    count = second.ask(ROWS)
    tab.until(f"{ROWS} > {count} + 3")
    assert second.ask(ROWS) == count
    second.ask(hide % "false" + told)
    second.until(f"{ROWS} > {count} + 3")
    seen = second.ask(keys)
    assert seen == sorted(set(seen), reverse=True), "it caught up: nothing twice, nothing left out"
    assert [int(key) for key in seen[-4:]] == [int(key) for key in tab.ask(keys)[-4:]]


def test_the_page_comes_back_after_the_server_was_started_again(tab: Tab, running: Running, model: Model) -> None:
    tab.until(f"{ROWS} > 2")
    assert tab.complaints() == []
    running.stop()
    tab.until("document.getElementById('connection').className === 'bad'")
    before = tab.ask(ROWS)
    assert tab.ask("document.querySelectorAll('#timeline .open').length") == 0
    again = serve(model, running.port)
    try:
        tab.until("document.getElementById('connection').className === 'ok'")
        tab.until(f"{ROWS} > {before} + 1 && document.querySelectorAll('#timeline .open').length === 1")
        tab.until("document.getElementById('picture').naturalWidth === 32")
    finally:
        again.stop()


def type_into(tab: Tab, **fields: str) -> None:
    for name, text in fields.items():
        tab.ask(f"document.getElementById('new-{name}').select()")
        tab.call("Input.insertText", text=text)


NAMES = "[...document.querySelectorAll('#streams button')].map(tab => tab.firstChild.textContent).join()"
CHOSEN = "document.querySelector('#streams [aria-selected=true]')?.firstChild.textContent"


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 800)])
def test_a_stream_is_added_and_removed_on_a_phone_and_at_a_desk(
    tab: Tab, browser: Browser, running: Running, width: int, height: int, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "clip.mp4", 600, fps=10)
    tab.show_as(width, height, 1, "light")
    tab.until(f"{NAMES} === 'door' && {ROWS} > 0")
    tap(tab, "#add")
    tab.until("document.getElementById('new').open")
    type_into(tab, source=f"{tmp_path}/{HOSTILE}.mp4", name="yard")
    tap(tab, "#new-form button")
    assert HOSTILE in tab.until("document.querySelector('#new-said.bad')?.textContent")
    assert tab.ask("document.getElementById('new').open") and len(running.hub.channels) == 1
    assert tab.ask("document.documentElement.scrollWidth <= window.innerWidth")
    type_into(tab, source=str(clip))
    tap(tab, "#new-form button")
    tab.until(f"{CHOSEN} === 'yard' && !document.getElementById('new').open")
    tab.until("document.getElementById('source').textContent.includes('clip.mp4')")
    tab.until("document.getElementById('picture').naturalWidth > 0")
    assert tab.ask("document.getElementById('new-source').value") == ""
    assert [channel.name for channel in running.hub.channels] == ["door", "yard"]
    other = browser.tab()
    other.open(f"http://127.0.0.1:{running.port}/")
    other.until(f"{NAMES} === 'door,yard'")
    tap(tab, "#remove")
    assert tab.until("document.getElementById('sure').open && document.getElementById('sure-title').textContent") == (
        "Remove yard?"
    )
    assert tab.ask("document.activeElement.id") == "sure-cancel"
    tap(tab, "#sure-cancel")
    tab.until("!document.getElementById('sure').open")
    assert len(running.hub.channels) == 2, "nothing is removed without a yes"
    tap(tab, "#remove")
    tap(tab, "#sure-form button")
    tab.until(f"{NAMES} === 'door' && {CHOSEN} === 'door'")
    assert [channel.name for channel in running.hub.channels] == ["door"]
    other.until(f"{NAMES} === 'door'")
    tap(tab, "#remove")
    tap(tab, "#sure-form button")
    tab.until("document.getElementById('source').textContent === 'No stream so far. Add one.'")
    assert running.hub.channels == () and tab.ask("document.getElementById('remove').hidden")
    wanted = [message for message in tab.complaints() if " 400 " not in message]  # the source that was refused
    assert wanted == []


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 800)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(
    tab: Tab, width: int, height: int, scheme: str, tmp_path: Path
) -> None:
    tab.show_as(width, height, 1, scheme)
    tab.until(f"{ROWS} > 1")
    assert tab.ask("document.documentElement.scrollWidth <= window.innerWidth")
    red, green, blue = tab.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue < 200) == (scheme == "dark")


def test_with_a_token_the_page_asks_for_it_once(browser: Browser, model: Model) -> None:
    running = serve(model, token=TOKEN)
    try:
        tab = browser.tab()
        tab.open(f"http://127.0.0.1:{running.port}/")
        tab.until("document.querySelector('input[name=token]') !== null")
        tab.ask("document.querySelector('input[name=token]').focus()")
        tab.call("Input.insertText", text=TOKEN)
        tab.ask("document.querySelector('button').click()")
        tab.until(f"typeof connect === 'function' && {ROWS} > 1")
        assert tab.ask("location.pathname + location.search") == "/" and tab.ask("document.cookie") == ""
        tab.until("document.getElementById('picture').naturalWidth === 32")
    finally:
        running.stop()
