"""The operations manual names what there is: settings, commands, options."""

import re
from pathlib import Path

import click

from ops.cli import main
from vault.settings import Settings

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
COMMANDS = re.findall(r"^(?:CARDVAULT_\S+ )?cardvault ((?:.|\\\n)+?)(?:  +#.*)?$", TEXT, re.MULTILINE)


def test_every_setting_is_in_the_table_and_nothing_else() -> None:
    listed = re.findall(r"^\| `CARDVAULT_(\w+)`", TEXT, re.MULTILINE)
    assert [name.lower() for name in listed] == sorted(
        Settings.model_fields, key=[name.lower() for name in listed].index
    )


def test_every_command_shown_exists_with_its_options() -> None:
    assert len(COMMANDS) >= 10
    for line in COMMANDS:
        words = line.replace("\\\n", " ").split()
        command: click.Command = main
        while words and isinstance(command, click.Group) and not words[0].startswith("--"):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert known.issuperset(word for word in words if word.startswith("--")), line
