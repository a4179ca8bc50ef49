"""The last look at an answer: a card number that got into a body is taken out before the body leaves.

Refuses to know routes and services, and what happens about a hit: that is reported to a callback of the application.
Invariants: an answer without a hit is not changed by a byte; with one, every other member goes out, so that status and
outcome always reach the caller; no pointer repeats a card number. Source: design, isolation; controls TOK-6, IR-1.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request, Response
from starlette.background import BackgroundTask, BackgroundTasks

from vault.errors import VaultError
from vault.logs import alarm, get_logger
from vault.pan_detector import Path, contains_pan, maybe_pan, walk

# Values that are long numbers by nature: of ours, of the merchant, of the gateway, of schemes and acquirers. They are
# exempt by the name of the member that holds them, with all that is below it.
EXEMPT_NAMES: Final = frozenset({
    "requestId", "cardId", "paymentId", "mandateId", "captureId", "refundId", "eventId", "merchantId", "clientId",
    "endpointId", "auditEventId", "initialPaymentId", "reference", "textSha256", "cursor", "nextCursor",
    "paymentRequestId", "captureRequestId", "refundRequestId", "vaultingRequestId", "referenceOrderId",
    "referenceBuyerId", "referenceGoodsId", "referenceMerchantId",
    "networkTransactionId", "dsTransactionId", "threeDSServerTransactionId", "authorizationCode", "rrn", "arn",
    "acquirerReferenceNo", "acquirerTransactionId", "acquirerMerchantId", "referenceRequestId",
    "nextAction", "paymentSessionData", "paymentSessionId", "vaultingSessionData", "vaultingSessionId", "normalUrl",
})  # fmt: skip
# Below these the merchant chooses the names, so that a name says nothing.
FREE_NAMES: Final = frozenset({"metadata"})

_log = get_logger("vault.response_guard")


@dataclass(frozen=True, slots=True)
class GuardResult:
    """The body that may leave, and the RFC 6901 pointers of what was withheld from it."""

    body: bytes
    withheld: tuple[str, ...] = ()


def exempt_by_name(path: Path) -> bool:
    """Tell whether the last step of a path is a name whose values are long numbers by nature."""
    return bool(path) and path[-1] in EXEMPT_NAMES and FREE_NAMES.isdisjoint(path)


def guard(body: bytes, *, exempt: Callable[[Path], bool] = exempt_by_name) -> GuardResult:
    """Take card numbers out of a JSON body: the value becomes null, its pointer is listed in `withheld`.

    An object with a card number in a key becomes null as a whole (the outermost one loses the key alone). The body has
    to come from our own serialiser: UTF-8, no digit written as an escape sequence.
    """
    if not maybe_pan(body):
        return GuardResult(body)
    tree: Any = json.loads(body)
    kept = {key: value for key, value in tree.items() if not contains_pan(key)} if isinstance(tree, dict) else tree
    withheld = [*([""] if kept != tree else []), *walk(kept, exempt)]
    if not withheld:
        return GuardResult(body)
    for pointer in withheld:
        kept = _without(kept, pointer)
    if isinstance(kept, dict):
        kept["withheld"] = withheld
    return GuardResult(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode(), tuple(withheld))


def _without(tree: Any, pointer: str) -> Any:
    """Put null where a pointer of `walk` leads; an outermost object stays, for it has lost its key already."""
    if not pointer:
        return tree if isinstance(tree, dict) else None
    *steps, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))
    parent = tree
    for step in steps:
        parent = parent[_key(parent, step)]
    parent[_key(parent, last)] = None
    return tree


def _key(parent: object, step: str) -> str | int:
    return int(step) if isinstance(parent, list) else step


async def guard_response(request: Request, response: Response) -> Response:
    """Apply the guard to a JSON answer; a hit is an alarm, and reported to `app.state.on_withheld(request, pointers)`.

    The report is made once the answer is out and the request's transaction has ended: it can undo neither.
    """
    body = getattr(response, "body", b"")
    if not body or response.headers.get("content-type") != "application/json":
        return response
    result = guard(body)
    if result.withheld:
        response.body = result.body
        response.headers["content-length"] = str(len(result.body))
        alarm(_log, "pan_withheld", pointers=result.withheld)
        report = BackgroundTask(_report, request, result.withheld)
        response.background = BackgroundTasks([task for task in (response.background, report) if task])
    return response


async def _report(request: Request, pointers: Sequence[str]) -> None:
    report: Callable[[Request, Sequence[str]], Awaitable[None]] | None
    report = getattr(request.app.state, "on_withheld", None)
    if report is None:
        return
    try:
        await report(request, pointers)
    except VaultError as error:
        _log.error("response_guard.unreported", exc_info=error)
