"""The manual's chapters about rotation, compromise and destruction, command by command (T-57)."""

import re
from pathlib import Path

from tests.ops.cli.commands import Desk

MANUAL = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()


def commands(chapter: str) -> list[list[str]]:
    """Give the commands of a chapter as they are typed, without `cardvault`."""
    text = re.search(rf"^### {chapter}\n(.*?)(?=^##)", MANUAL, re.MULTILINE | re.DOTALL)
    assert text is not None, chapter
    return [line.partition("#")[0].split()[1:] for line in re.findall(r"^cardvault .*$", text[1], re.MULTILINE)]


def carry_out(desk: Desk, chapter: str, **names: str) -> list[int]:
    """Run a chapter's commands, ids filled in, and give their exit codes; workers are there before anybody watches."""
    codes = []
    for words in commands(chapter):
        if "--follow" in words:
            desk.data("keys", "reencrypt")
        codes.append(desk.run(*(names.get(word.partition("_")[0], word) for word in words)).exit_code)
    return codes


def test_rotating_keys(desk: Desk, merchant_id: str) -> None:
    """At the end there is no job to be held, which is refused."""
    assert carry_out(desk, "Rotating keys", mer=merchant_id) == [0, 0, 0, 0, 0, 0, 1, 1]


def test_a_compromised_key_and_its_destruction(desk: Desk, merchant_id: str) -> None:
    [rotated, *_] = desk.data("keys", "rotate", "data")
    assert carry_out(desk, "A compromised key", key=rotated["activeKeyId"]) == [0, 0]
    for key_id in (rotated["retiredKeyId"], rotated["activeKeyId"]):
        assert carry_out(desk, "Destroying a key", key=key_id) == [0, 0]
