import json
from itertools import islice
from random import Random

import pytest

from ops.bench.filling import Population
from ops.bench.plan import Case
from ops.bench.shop import Shop
from ops.bench.traffic import card_number, payment_body, requests_for
from vault.brands import luhn_ok
from vault.wire.cards import StoreCardRequest
from vault.wire.requests import StoredCardPaymentRequest

SHOP = Shop("cv_key", "mer_1", "CLIENT", "", "", "http://127.0.0.1:9", ("card_1", "card_2"), "", "", "", "", {})
URL = "http://127.0.0.1:8080"


def requests(case: Case, count: int) -> list[tuple[str, str]]:
    """Give so many requests, each as its head and its body."""
    sent = islice(requests_for(case, URL, SHOP, Population(1_000)), count)
    return [(head, body) for head, _, body in (each.decode().partition("\r\n\r\n") for each in sent)]


def test_card_numbers_have_their_check_digit_and_differ() -> None:
    numbers = [card_number(Random(seed)) for seed in range(100)]
    assert all(luhn_ok(number) and len(number) == 16 for number in numbers)
    assert len(set(numbers)) == 100


def test_each_stored_card_is_a_new_one_of_a_new_buyer_and_acceptable() -> None:
    bodies = [StoreCardRequest.model_validate(json.loads(body)) for _, body in requests(Case.STORE, 50)]
    assert len({body.reference_buyer_id for body in bodies}) == 50


def test_each_payment_has_an_id_of_its_own_in_every_run() -> None:
    bodies = [json.loads(body) for _, body in requests(Case.PAY, 20) + requests(Case.PAY, 20)]
    assert len({body["paymentRequestId"] for body in bodies}) == 40
    assert StoredCardPaymentRequest.model_validate(bodies[0]).payment_request_id == bodies[0]["paymentRequestId"]
    assert json.loads(payment_body("a"))["paymentRequestId"] == "a"


@pytest.mark.parametrize("case", [Case.STORE, Case.PAY, Case.LIST])
def test_a_request_is_whole_and_says_who_asks(case: Case) -> None:
    for head, body in requests(case, 5):
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        assert fields["Host"] == "127.0.0.1:8080"
        assert fields["Authorization"] == "Bearer cv_key"
        assert int(fields.get("Content-Length", "0")) == len(body.encode())
