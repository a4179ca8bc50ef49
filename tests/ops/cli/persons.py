"""Operators at one desk, each with a key file, and commands that wait for another's approval."""

from dataclasses import replace

from tests.installation import PASSPHRASE
from tests.ops.cli.commands import Desk


def seat(desk: Desk, person: str) -> Desk:
    """The same desk with one person at it."""
    values = {"OPERATOR_KEY_FILE": desk.folder / f"{person}.key", "OPERATOR_PASSPHRASE_FILE": desk.folder / person}
    (desk.folder / person).write_text(f"{PASSPHRASE} of {person}\n")
    return replace(desk, env={**desk.env, **{f"CARDVAULT_{name}": str(path) for name, path in values.items()}})


def creation(desk: Desk, person: str) -> tuple[str, ...]:
    files = ("--key-file", str(desk.folder / f"{person}.key"), "--passphrase-file", str(desk.folder / person))
    return ("operators", "create", "--person", person, *files)


def enrolled(desk: Desk, person: str) -> Desk:
    sitting = seat(desk, person)
    sitting.data(*creation(desk, person))
    return sitting


def waits(desk: Desk, *arguments: str) -> str:
    """Run what has to wait for approval, and give the request's id."""
    result = desk.run(*arguments)
    assert (result.exit_code, result.stdout) == (3, ""), result.output
    [line] = [line for line in result.stderr.splitlines() if "approvals approve" in line]
    return line.split()[-1]
