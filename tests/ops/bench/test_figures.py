from pathlib import Path

import pytest

from ops.bench.comparing import Pair
from ops.bench.figures import Spread, write_section
from ops.bench.measuring import Sample
from ops.refusal import Refused


def sample(rate: float, server_us: float, database_us: float) -> Sample:
    return Sample(rate, 1.0, 2.0, server_us, database_us, 0.0, 0.0)


def test_a_pair_compares_rates_and_processor_time_so_that_less_than_one_is_worse() -> None:
    pair = Pair(limit=sample(1000, 200, 100), product=sample(600, 400, 200))
    assert pair.rate_ratio == pytest.approx(0.6)
    assert pair.cpu_ratio == pytest.approx(0.5)


def test_a_spread_names_least_median_and_most() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(1.0, 2.0, 3.0)
    assert Spread.of([0.61, 0.7, 0.655]).shown(".2f") == "0.66 (0.61 to 0.70)"


def test_a_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n")
    write_section(document, "new\n")
    assert document.read_text() == "before\n<!-- figures: begin -->\n\nnew\n\n<!-- figures: end -->\nafter\n"


@pytest.mark.parametrize("text", [None, "", "<!-- figures: begin -->\n", "<!-- figures: end -->\n"])
def test_a_document_without_a_place_is_left_alone(tmp_path: Path, text: str | None) -> None:
    document = tmp_path / "a.md"
    if text is not None:
        document.write_text(text)
    with pytest.raises(Refused, match="no place for figures"):
        write_section(document, "new")
    assert (document.read_text() if document.exists() else None) == text
