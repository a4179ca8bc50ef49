"""AWS KMS as far as a seal needs it, over HTTP: keys that can be disabled, contexts that bind, answers that can be slow.

It refuses to check signatures. Invariant: a ciphertext opens under its key and its encryption context alone.
"""

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

REGION = "eu-central-1"


class Refusal(Exception):
    """An error of the service, by its code."""


@dataclass
class Kms:
    """The service's state; `failure` is a code that every call is answered with, `hang` keeps callers waiting."""

    endpoint: str = ""
    keys: dict[str, bytes] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    failure: str | None = None
    hang: threading.Event | None = None
    dying: dict[str, float] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def new_key(self) -> str:
        """Make a key and give its ARN."""
        name = "-".join((os.urandom(4).hex(), *(os.urandom(2).hex() for _ in range(3)), os.urandom(6).hex()))
        arn = f"arn:aws:kms:{REGION}:111122223333:key/{name}"
        self.keys[arn] = AESGCM.generate_key(256)
        return arn

    def uri(self, arn: str) -> str:
        """Give a key's address as a seal."""
        return f"awskms:{arn}?endpoint={self.endpoint}"

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked."""
        self.calls.append(operation)
        if self.hang is not None:
            self.hang.wait(60)
        if self.failure is not None:
            raise Refusal(self.failure)
        arn = body["KeyId"]
        if arn not in self.keys:
            raise Refusal("NotFoundException")
        if operation in {"DescribeKey", "ScheduleKeyDeletion"}:
            return self._about(operation, arn, body)
        if arn in self.disabled:
            raise Refusal("DisabledException")
        context = json.dumps(body["EncryptionContext"], sort_keys=True).encode()
        cipher = AESGCM(self.keys[arn])
        if operation == "Encrypt":
            nonce = os.urandom(12)
            blob = nonce + cipher.encrypt(nonce, base64.b64decode(body["Plaintext"]), context)
            return {"CiphertextBlob": base64.b64encode(blob).decode(), "KeyId": arn}
        blob = base64.b64decode(body["CiphertextBlob"])
        try:
            return {"Plaintext": base64.b64encode(cipher.decrypt(blob[:12], blob[12:], context)).decode(), "KeyId": arn}
        except (InvalidTag, ValueError):
            raise Refusal("InvalidCiphertextException") from None

    def _about(self, operation: str, arn: str, body: dict[str, Any]) -> dict[str, Any]:
        if operation == "ScheduleKeyDeletion":
            self.disabled.add(arn)
            self.dying[arn] = time.time() + 86_400 * body["PendingWindowInDays"]
        state: dict[str, Any] = {"KeyId": arn, "KeyState": "Disabled" if arn in self.disabled else "Enabled"}
        if arn in self.dying:
            state |= {"KeyState": "PendingDeletion", "DeletionDate": self.dying[arn]}
        return {"KeyMetadata": state, **state}


@contextmanager
def serving() -> Iterator[Kms]:
    """Run the service on a free port."""
    kms = Kms()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                status, answer = 200, kms.answer(self.headers["X-Amz-Target"].rpartition(".")[2], body)
            except Refusal as refusal:
                status, answer = 400, {"__type": str(refusal), "message": "refused"}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(ConnectionError):  # whoever asked has given up
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kms.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kms
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
