"""Dashboard and alert rules speak of figures that there are, and every alert has its paragraph."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from vault import metrics
from vault.store.standing import QUESTIONS

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "ops" / "deploy" / "monitoring"
_NAME = re.compile(r"\bcardvault_\w+")


def figures() -> set[str]:
    """Give every name under which Prometheus knows a figure."""
    counted = {
        f"{family.name}{suffix}"
        for family in metrics.OWN.collect()
        for suffix in {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
    }
    return counted | {question.name for question in QUESTIONS} | {"cardvault_ready"}


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())["panels"]
    return found


def test_every_figure_that_is_asked_for_exists() -> None:
    asked = {name for rule in rules() for name in _NAME.findall(rule["expr"])}
    shown = {name for panel in panels() for target in panel["targets"] for name in _NAME.findall(target["expr"])}
    assert asked <= figures()
    assert shown <= figures()


def test_every_figure_of_the_database_is_on_the_dashboard() -> None:
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    assert not [question.name for question in QUESTIONS if question.name not in shown]


def test_alerts_and_paragraphs_are_the_same() -> None:
    headings = re.findall(r"^### (Cardvault\w+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_what_it_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_panels_do_not_cover_each_other() -> None:
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()}
    assert len(places) == len(panels())
