"""The whole measurement with tiny numbers, so that it cannot rot; no figure is judged."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.bench.__main__ import main

TINY = ("--rounds", "1", "--seconds", "0.2", "--connections", "4", "--processes", "1", "--cards", "1000")
DOCUMENT = "# Title\n\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n"


def test_a_tiny_run_measures_everything_and_writes_its_figures(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(DOCUMENT)
    arguments = [*TINY, "--sizes", "1000", "--size-rounds", "1", "--document", str(document), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    routes = ["GET /v1/buyers/{id}/cards", "POST /v1/cards/{id}/payments", "POST /v1/cards"]
    assert [pair["request"] for pair in measured["pairs"]] == routes
    assert [(entry["request"], entry["cards"]) for entry in measured["sizes"]] == [(route, 1000) for route in routes]
    assert all(pair["rateRatio"]["median"] > 0 for pair in measured["pairs"])
    assert all(entry["pages"] > 0 for entry in measured["sizes"])
    assert [entry["request"] for entry in measured["limited"]] == routes
    assert all(entry["cpuRatio"]["median"] > 0 for entry in measured["limited"])
    for beside in ("direct", "kept"):
        assert [pair[beside] is not None for pair in measured["pairs"]] == [False, True, False]
    assert all(0.99 < sum(pair["layers"].values()) < 1.01 for pair in measured["pairs"])
    written = document.read_text()
    assert written.startswith("# Title\n\n<!-- figures: begin -->\n\n`")
    assert written.endswith("|\n\n<!-- figures: end -->\nafter\n")
    assert "old" not in written
    assert all(f"| {route} |" in written for route in routes)


def test_a_document_without_a_place_for_figures_is_refused_before_anything_starts(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--document", str(tmp_path / "none.md")])
    assert result.exit_code == 1
    assert "no place for figures" in result.stderr


@pytest.mark.parametrize(
    "wrong", [["--sizes", "a"], ["--sizes", "1000,-5"], ["--cards", "10"], ["--which", "everything"], ["--rounds", "0"]]
)
def test_wrong_options_start_nothing(wrong: list[str]) -> None:
    assert CliRunner().invoke(main, wrong).exit_code == 2
