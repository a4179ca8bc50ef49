"""Every example of the guide to webhooks, run in its order against a playground; its receiver verifies by itself."""

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from http.client import HTTPConnection
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.docs.guide import ROOT, answers, blocks, missing, outputs
from tests.installation import free_listener
from vault.webhook import Outcome, WebhookType

PAGE = (ROOT / "docs/webhooks.md").read_text()
BLOCKS = blocks("docs/webhooks.md")
[RECEIVER] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
BODY = b'{"type": "card.stored"}'


def test_every_example_answers_what_the_guide_promises(playground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = playground.parent
    (folder / "scratch").mkdir()
    (folder / "scratch" / "receiver.py").write_text(RECEIVER)
    with free_listener() as listener:
        monkeypatch.setenv("PORT", str(listener.getsockname()[1]))
    printed = outputs(folder, BLOCKS)
    answered = [(block, text) for block, text in zip(BLOCKS, printed, strict=True) if block.promise is not None]
    assert len(answered) == 9
    for block, text in answered:
        answer = answers(text)[-1]
        assert missing(block.promise, answer) == [], f"{block.script}\n{answer}"
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    made = [path.name for path in folder.iterdir() if not path.is_symlink()]
    assert [name for name in made if not any(fnmatch(name, each) for each in ignored)] == []


def test_every_type_of_event_and_every_outcome_of_an_attempt_is_explained() -> None:
    tables = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for line in tables for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])}
    assert named == {*WebhookType, *Outcome}


def _signed() -> dict[str, str]:
    now = datetime.now(UTC).replace(microsecond=0)
    signature = Webhook(SECRET).sign("evt_x", now, BODY.decode())
    return {
        "webhook-id": "evt_x",
        "webhook-timestamp": f"{now.timestamp():.0f}",
        "webhook-signature": f"v1,AAAA {signature}",
    }


@contextmanager
def _receiver(folder: Path) -> Iterator[HTTPServer]:
    """The guide's receiver, running in a folder."""
    program: dict[str, Any] = {"__name__": "receiver", "__file__": str(folder / "receiver.py")}
    exec(RECEIVER, program)
    with HTTPServer(("127.0.0.1", 0), program["Receiver"]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _status(server: HTTPServer, headers: dict[str, str], body: bytes = BODY) -> int:
    connection = HTTPConnection("127.0.0.1", server.server_port)
    connection.request("POST", "/hook", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_guides_receiver_keeps_what_the_library_signed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with _receiver(tmp_path) as server:
        assert _status(server, _signed()) == 204
        assert _status(server, _signed(), BODY + b" ") == 400
    assert (tmp_path / "received.jsonl").read_bytes() == BODY + b"\n"


@pytest.mark.parametrize(
    ("secret", "changes", "reason"),
    [
        (SECRET[:-1], {}, "the secret is not whole"),
        (f'"{SECRET}"', {}, "the secret is not whole"),
        ("whsec_" + base64.b64encode(b"x" * 32).decode(), {}, "no signature fits"),
        (SECRET, {"webhook-id": "evt_y"}, "no signature fits"),
        (SECRET, {"webhook-signature": "v1,\u00e4"}, "no signature fits"),
        (SECRET, {"webhook-timestamp": "1769860800"}, "webhook-timestamp is not"),
        (SECRET, {"webhook-timestamp": "now"}, "webhook-timestamp is not"),
        (SECRET, {"webhook-signature": ""}, "a header is missing"),
        (SECRET, {"content-length": "many"}, "invalid literal"),
        (None, {}, "No such file"),
    ],
)
def test_the_guides_receiver_refuses_everything_else_and_says_why(
    secret: str | None, changes: dict[str, str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if secret is not None:
        (tmp_path / "secret").write_text(secret)
    with _receiver(tmp_path) as server:
        assert _status(server, _signed() | changes) == 400
    assert reason in capsys.readouterr().out
    assert not (tmp_path / "received.jsonl").exists()


def test_the_guides_receiver_survives_a_request_of_somebody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with _receiver(tmp_path) as server:
        assert [_status(server, {}) for _ in range(2)] == [400, 400]
    assert capsys.readouterr().out.count("a header is missing") == 2
