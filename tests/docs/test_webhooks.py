"""Every example of the guide to webhooks, run in its order against a playground; its receiver verifies by itself."""

import base64
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from tests.docs.guide import ROOT, blocks, missing, outputs

BLOCKS = blocks("docs/webhooks.md")
[RECEIVER] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/webhooks.md").read_text(), re.MULTILINE | re.DOTALL)


def test_every_example_answers_what_the_guide_promises(playground: Path) -> None:
    (playground.parent / "receiver.py").write_text(RECEIVER)
    printed = outputs(playground.parent, BLOCKS)
    answered = [(block, text) for block, text in zip(BLOCKS, printed, strict=True) if block.promise is not None]
    assert len(answered) == 6
    for block, text in answered:
        answer = json.loads(text.strip().splitlines()[-1])
        assert missing(block.promise, answer) == [], f"{block.script}\n{answer}"


def test_the_guides_receiver_believes_what_the_library_signed_and_nothing_else() -> None:
    receiver: dict[str, Any] = {"__name__": "receiver"}
    exec(RECEIVER, receiver)
    key = b"k" * 32
    secret = "whsec_" + base64.b64encode(key).decode()
    body, now = b'{"type": "card.stored"}', int(time.time())
    library = Webhook(secret)
    signature = library.sign("evt_x", datetime.fromtimestamp(now, UTC), body.decode())
    good = {"webhook-id": "evt_x", "webhook-timestamp": str(now), "webhook-signature": f"v1,AAAA {signature}"}
    assert receiver["verify"](secret, good, body)
    assert not receiver["verify"](secret, good, body + b" ")
    assert not receiver["verify"](secret, good | {"webhook-id": "evt_y"}, body)
    assert not receiver["verify"]("whsec_" + base64.b64encode(b"x" * 32).decode(), good, body)
    old = now - 301
    stale = {
        "webhook-timestamp": str(old),
        "webhook-signature": library.sign("evt_x", datetime.fromtimestamp(old, UTC), body.decode()),
    }
    assert not receiver["verify"](secret, good | stale, body)
