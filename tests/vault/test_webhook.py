"""Webhooks without a network: signatures by the standard's own vector, what the database tells, how long to wait."""

import base64
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest

from keys.sealed import Plaintext
from vault.ids import Prefix, uuid_of
from vault.migrations.telling import TOLD
from vault.webhook import SUBSCRIBABLE, WebhookEvent, WebhookSecret, WebhookType, new_key, signed_headers
from vault.worker.delivering import Patience

VECTOR = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_standards_vector_is_met() -> None:
    """WHK-2."""
    key = Plaintext(base64.b64decode(VECTOR))
    headers = signed_headers([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert WebhookSecret.of(key.reveal()).reveal() == f"whsec_{VECTOR}"


def test_secrets_are_as_long_as_the_standard_wants_and_never_the_same() -> None:
    assert len(new_key().reveal()) == 32
    assert new_key() != new_key()


def test_a_body_is_made_of_its_event_alone() -> None:
    uuid = UUID("0190163d-8694-739b-aea5-966c26f8ad90")
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    event = WebhookEvent("mer_x", uuid, "card.stored", "card_x", 1, moment, {"cardId": "card_x"}, "7:1")
    assert uuid_of(Prefix.EVENT, event.id) == uuid
    assert (
        event.body()
        == (
            f'{{"eventId":"{event.id}","type":"card.stored","timestamp":"2026-01-31T12:00:00.000000Z",'
            '"objectId":"card_x","sequence":1,"data":{"cardId":"card_x"}}'
        ).encode()
    )


@pytest.mark.parametrize("text", ["", "evt_", "evt_nothing", "card_agrac2fwjb6rrjsoyoh54fef4e"])
def test_what_is_no_id_of_an_event_names_none(text: str) -> None:
    assert uuid_of(Prefix.EVENT, text) is None


def test_the_database_tells_of_known_types_only() -> None:
    literal = {each for told in TOLD.values() for each in re.findall(r"'([a-z]+\.[a-z_]+)'", told.type)}
    assert literal <= set(WebhookType)


def test_every_type_but_the_test_can_be_asked_for_alone_or_with_its_kind() -> None:
    assert set(SUBSCRIBABLE) == (set(WebhookType) - {WebhookType.TEST}) | {
        "card.*",
        "payment.*",
        "capture.*",
        "refund.*",
        "mandate.*",
    }


def test_pauses_follow_the_schedule_to_its_end() -> None:
    patience = Patience(20.0, (5.0, 300.0, 1800.0))
    assert [patience.after(tries) for tries in (1, 2, 3, 4)] == [5.0, 300.0, 1800.0, None]
    assert patience.longest == 300.0
    assert Patience(20.0, (0.5, 2.0)).longest == 2.0
