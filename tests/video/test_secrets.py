"""A secret of a source is in no message, whatever its URL looks like."""

from __future__ import annotations

import logging
import pickle
import socket
import traceback
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vljepa_edge.errors import VideoError, redacted
from vljepa_edge.video import open_source

# Where a secret stands in what people write. {host} answers nothing.
FORMS = [
    "rtsp://user:{secret}@{host}/x",
    "RTSP://user:{secret}@{host}/x",
    "rtsps://{secret}@{host}",
    "rtsp:/user:{secret}@{host}/x",
    "rtsp:///user:{secret}@{host}/x",
    "rtsp://{host}/x?user=admin&password={secret}",
    "rtsp://{host}/x?u=admin&p={secret}&channel=1",
    "rtsp://{host}/user=admin&password={secret}&channel=1&stream=0.sdp",
    "rtsp://{host}/user=admin_password={secret}_channel=1_stream=0.sdp?real_stream",
    "rtsp:/{host}/user=admin&password={secret}&channel=1",
    "rtsp://user:{secret}",
    "rtsp://user:{secret}@",
    "http://user:{secret}@{host}/x",
    "file://user:{secret}@{host}/x",
    "user:{secret}@{host}/x",
    "clips/user=admin&password={secret}",
    "clips/?token={secret}",
]
# Long enough not to be in a message by chance. The characters are those that break URLs.
SECRETS = st.text("abcXYZ019/@:?#%+.~!$'()*,[]\\ ", min_size=6, max_size=12).map(lambda text: f"Q7{text}Zj")


@pytest.fixture(scope="module")
def host() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def said_of(source: object) -> str:
    """All that is said of a source that can't be opened: the error, its traceback, and what a log makes of it."""
    with pytest.raises(VideoError) as caught:
        open_source(source, timeout=1.0)  # type: ignore[arg-type]
    error = caught.value
    chain, link = [], error
    while link is not None:
        chain += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__  # type: ignore[assignment]
    record = logging.LogRecord("x", logging.ERROR, "x", 1, "failed: %s", (error,), (type(error), error, None))
    # The lines of this test's own source name no secret: they are the same for each.
    return "\n".join(
        [
            *chain,
            *traceback.format_exception(error),
            logging.Formatter().format(record),
            repr(pickle.loads(pickle.dumps(error))),
        ]
    )


@pytest.mark.parametrize("form", FORMS)
@given(secret=SECRETS)
@settings(max_examples=12, deadline=None)
@example("Q7hunter2Zj")
@example("Q7pa/ss@wordZj")
@example("Q7p:a?s#sZj")
def test_no_secret_is_in_an_error_or_its_traceback(host: str, form: str, secret: str) -> None:
    said = said_of(form.format(secret=secret, host=host))
    assert secret not in said
    assert "Zj" not in said or form.endswith("{secret}"), "nor is its end, where an address follows"


@pytest.mark.parametrize("form", FORMS)
@given(secret=st.text(min_size=8, max_size=20).map(lambda text: f"Q7{text}Zj"))
@settings(max_examples=30, deadline=None)
def test_no_secret_is_in_a_redacted_name(form: str, secret: str) -> None:
    assert secret not in redacted(form.format(secret=secret, host="camera"))


@pytest.mark.parametrize("wrap", [bytes, Path, lambda text: {"url": text}.values], ids=["bytes", "path", "method"])
def test_no_secret_is_in_the_error_of_a_wrong_type(wrap: type) -> None:
    url = "rtsp://user:Q7hunter2Zj@127.0.0.1:9/" + "x" * 100
    assert "Q7hunter2Zj" not in said_of(url.encode() if wrap is bytes else wrap(url))


@pytest.mark.parametrize(
    "name",
    [
        "clip.mp4",
        "/data/label=cat/take 2.mp4",
        "C:/Users/a@b/x.mp4",
        "camera:0",
        "/dev/video0",
        "rtsp://10.0.0.5/door",
        "rtsp://10.0.0.5:554/door?channel=1&subtype=0",
        "rtsp://[fe80::1]:554/door",
        "file:///data/clip.mp4",
    ],
)
def test_a_name_without_secrets_is_shown_as_it_is(name: str) -> None:
    assert redacted(name) == name
    assert redacted(redacted(name)) == name


def test_what_is_shown_of_a_url_says_which_camera_it_is() -> None:
    assert redacted("rtsp://user:a/b@c@cam:554/door") == "rtsp://cam:554/door"
    assert redacted("rtsp://cam/live@hd") == "rtsp://***@hd"
    assert redacted("rtsp://cam/user=admin&password=x&channel=1") == "rtsp://cam/user=***&password=***&channel=1"
