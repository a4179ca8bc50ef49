"""`cardvault keys compromise` and `keys destroy`: the end of a data key, at once or after a waiting period.

It refuses to know key material. Invariant: nothing that is still needed is lost, whatever is typed.
"""

import click

from ops.cli.output import json_option, remark, show_record

_key = click.argument("key_id", metavar="KEY")


@click.command()
@_key
@click.option(
    "--deadline", "days", type=click.IntRange(1, 90), default=3, show_default=True, metavar="DAYS",
    help="Within how many days everything has to be under another key.",
)  # fmt: skip
@json_option
def compromise(key_id: str, *, days: int, as_json: bool) -> None:
    """Take a key out of use for good: nothing is sealed under it from now on, by any process.

    Another key takes its place at once, a re-encryption begins that cannot be paused, an alarm records the incident.
    What is under the key opens until it was moved.
    """
    from ops.data_keys import compromise as compromise_key

    done = compromise_key(key_id, days)
    show_record(done, as_json=as_json)
    if not done["settled"]:
        remark("A transaction that began before this one has not ended: look at it in pg_stat_activity.")
    remark("Workers move what it sealed; cardvault keys reencrypt takes part and shows how far that is.")


@click.command()
@_key
@click.option("--undo", is_flag=True, help="Take a destruction that is scheduled back.")
@json_option
def destroy(key_id: str, *, undo: bool, as_json: bool) -> None:
    """Have a retired key destroyed after CARDVAULT_KEY_DESTRUCTION_DAYS; a key that a row needs is refused.

    Until then `--undo` takes it back. Workers carry it out; what was sealed under the key, old backups included, does
    not open any more after that.
    """
    from ops import data_keys

    done = data_keys.undo_destruction(key_id) if undo else data_keys.destroy(key_id)
    show_record(done, as_json=as_json)
