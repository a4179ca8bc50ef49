"""What exports make of events: golden files of every type, OCSF as published, nothing that forges a line (EXP-1, 2, 7)."""

import copy
import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.vault.audit.published_ocsf import faults
from tests.vault.audit.samples import AT, FORMATS, GOLDEN, NAME, golden, in_the_log, logged, sample
from vault.audit import ocsf, spreadsheet
from vault.audit.catalogue import CATALOGUE
from vault.audit.entry import Queued
from vault.audit.events import ActorKind, Event, EventType, Origin, Outcome

HOSTILE = "a\r\nb\x00|]\u2028=1,\"'\U0001f600\ud7ff;" + "x" * 1000


@pytest.mark.parametrize("name", FORMATS)
def test_every_type_is_exported_as_it_always_was(name: str) -> None:
    assert (GOLDEN / name).read_bytes() == golden(name), "look at: python -m tests.vault.audit.samples; git diff"


@pytest.mark.parametrize("outcome", Outcome)
def test_every_type_is_valid_ocsf(outcome: Outcome) -> None:
    """EXP-1, EXP-2."""
    for kind in EventType:
        event = replace(sample(kind), outcome=outcome, reason=None if outcome is Outcome.SUCCESS else "a_reason")
        exported = json.loads(ocsf.line(logged(event), NAME))
        assert faults(exported) == [], kind
        assert exported["metadata"]["uid"] == f"aev_{kind}"
        assert exported["raw_data"].encode() == logged(event).octets
        assert exported["unmapped"]["details"] == event.details


@pytest.mark.parametrize("actor", ActorKind)
@pytest.mark.parametrize("kind", [EventType.CARD_STORED, EventType.OPERATOR_CREATED, EventType.AUDIT_HEARTBEAT])
def test_an_event_without_objects_address_and_request_is_valid_too(kind: EventType, actor: ActorKind) -> None:
    assert faults(ocsf.event(logged(Event(kind, Origin(actor), "")), NAME)) == []


def test_what_no_vault_has_written_is_a_finding() -> None:
    bodies = [b"\xff", b"{}", b'{"id":"e","merchant":"m"}', b'{"id":"e","merchant":"m","type":"card.stored"}']
    written = sample(EventType.CARD_STORED).encode("e")
    bodies += [written.replace(b"{", b"{ ", 1), written.replace(b"audit/1", b"audit/2")]
    for body in bodies:
        read = in_the_log(Queued("e", "m" if b'"m"' in body else "mer_a", AT, body))
        exported = ocsf.event(read, NAME)
        assert (faults(exported), exported["class_uid"], read.event) == ([], 2004, None)
        (row,) = csv.reader(io.StringIO(spreadsheet.line(read).decode(), newline=""))
        assert (row[0], row[2:14], row[-1].encode()) == ("7", [""] * 12, read.octets)


def test_an_event_from_before_traces_were_noted_is_an_event() -> None:
    event = sample(EventType.CARD_STORED)
    event = replace(event, origin=replace(event.origin, trace_id=""))
    body = event.encode("aev_a").replace(b',"trace":""', b"")
    read = in_the_log(Queued("aev_a", "mer_a", AT, body))
    assert (read.event, read.octets.count(b"trace")) == (event, 0)


FORGERIES: list[Callable[[dict[str, Any]], object]] = [
    lambda event: event.pop("time"),
    lambda event: event.update(time="now"),
    lambda event: event.update(class_uid=1),
    lambda event: event.update(type_uid=600301),
    lambda event: event.update(activity_id=7),
    lambda event: event.update(status="Failure"),
    lambda event: event.update(note=1),
    lambda event: event.update(resources={}),
    lambda event: event.update(actor="cli_a"),
    lambda event: event.update(unmapped=[]),
    lambda event: event["metadata"].update(version="1.7.0"),
    lambda event: event["metadata"].pop("product"),
    lambda event: event["actor"]["user"].clear(),
    lambda event: event["src_endpoint"].update(ip="here"),
    lambda event: event.update(activity_id=99, type_uid=600399, activity_name="", type_name="API Activity: "),
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_the_rules_refuse_what_is_not_published(forge: Callable[[dict[str, Any]], object]) -> None:
    exported = copy.deepcopy(ocsf.event(logged(sample(EventType.CARD_DELETED)), NAME))
    assert faults(exported) == []
    forge(exported)
    assert faults(exported)


def test_no_text_forges_or_splits_a_line() -> None:
    """EXP-7."""
    origin = Origin(ActorKind.CLIENT, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    hostile = Event(EventType.CARD_STORED, origin, HOSTILE, (HOSTILE,), Outcome.FAILURE, HOSTILE, {"storage": HOSTILE})
    read = logged(hostile)
    assert read.event == hostile
    assert ocsf.line(read, NAME).count(b"\n") == 1
    assert orjson.loads(ocsf.line(read, NAME))["status_detail"] == HOSTILE
    line = spreadsheet.line(read)
    assert (line.count(b"\n"), line.count(b"\r")) == (1, 1)
    (row,) = csv.reader(io.StringIO(line.decode(), newline=""))
    assert len(row) == len(spreadsheet.COLUMNS)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\uff1d1"])
def test_no_cell_is_a_formula(formula: str) -> None:
    line = spreadsheet.line(logged(replace(sample(EventType.CARD_STORED), reason=formula, merchant_id=formula)))
    (row,) = csv.reader(io.StringIO(line.decode(), newline=""))
    assert all(each.lstrip()[:1] not in {"=", "+", "-", "@", "\uff1d"} for each in row)
    assert row[5].startswith("'")


def test_every_type_says_what_it_means() -> None:
    assert all(entry.says == entry.says.strip() and entry.says for entry in CATALOGUE.values())
