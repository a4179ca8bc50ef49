"""Documents as tests see them: blocks of commands, each with the answer that the document promises (T-57).

A block of JSON belongs to the block of commands before it, and promises its members only; three dots stand for whatever
came there, alone or at the end of a text.
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ANYTHING = "…"
_BLOCK = re.compile(r"^```sh\n(?P<script>.*?)^```\n(?:\n```json\n(?P<promise>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_OBJECT = re.compile(r"^\{", re.MULTILINE)
_END = "-- end of block --"


@dataclass(frozen=True)
class Block:
    """Commands, and what the last line of their output promises to hold."""

    script: str
    promise: Any = None


def blocks(document: str) -> list[Block]:
    """Read a document's blocks of commands in their order."""
    found = _BLOCK.finditer((ROOT / document).read_text())
    return [Block(each["script"], json.loads(each["promise"]) if each["promise"] else None) for each in found]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Give a newcomer's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "CARDVAULT_", "COV"))}
    return kept | {"COVERAGE_FILE": str(folder / ".coverage")} | more


def run(folder: Path, script: str, **more: str) -> str:
    """Run commands as a newcomer would, and give what they printed."""
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, f"{script}\n{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
    return finished.stdout


def outputs(folder: Path, found: list[Block]) -> list[str]:
    """Run blocks in one shell, one after the other, and give what each of them printed."""
    script = "".join(f"{block.script}\nprintf '\\n{_END}\\n'\n" for block in found)
    return run(folder, script).split(f"\n{_END}\n")[: len(found)]


def answers(printed: str) -> list[Any]:
    """Read all JSON objects that were printed, each from the beginning of a line to its end."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while (start := _OBJECT.search(printed, place)) is not None:
        answer, place = decoder.raw_decode(printed, start.start())
        found.append(answer)
    return found


def missing(promise: Any, answer: Any, place: str = "") -> list[str]:
    """List the places where an answer differs from what was promised; of a list each entry has to occur somewhere."""
    if promise == ANYTHING:
        return [] if answer is not None else [place]
    if isinstance(promise, dict) and isinstance(answer, dict):
        return [gap for name, inner in promise.items() for gap in missing(inner, answer.get(name), f"{place}/{name}")]
    if isinstance(promise, list) and isinstance(answer, list) and promise:
        absent = [each for each in promise if all(missing(each, one) for one in answer)]
        return [f"{place}: {each}" for each in absent]
    if isinstance(promise, str) and isinstance(answer, str) and promise.endswith(ANYTHING):
        return [] if answer.startswith(promise.removesuffix(ANYTHING)) else [f"{place}: {answer}"]
    return [] if promise == answer else [f"{place}: {answer}"]
