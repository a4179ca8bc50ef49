"""`cardvault keys`: make the installation's keys, look at them; what changes them stands in modules of its own.

It refuses to know key material. Invariant: keys that exist are never replaced by `init`.
"""

import click

from ops.cli.keys_life import compromise, destroy
from ops.cli.keys_reencrypt import reencrypt
from ops.cli.keys_rotate import rotate
from ops.cli.keys_seals import seals
from ops.cli.keys_shares import recover, shares
from ops.cli.keys_shred import receipt, shred
from ops.cli.output import json_option, remark, show_record, show_table


@click.group()
def keys() -> None:
    """Make, watch and change the installation's keys."""


for _command in (rotate, reencrypt, compromise, destroy, shred, receipt, seals, shares, recover):
    keys.add_command(_command)


@keys.command()
@json_option
def init(*, as_json: bool) -> None:
    """Make the root key, guarded by the seals of CARDVAULT_SEAL, and the installation's own data keys.

    A keystore file or a key in a token that is missing is made, an existing one is used as it is; an installation that
    has keys is refused.
    """
    from ops.operating import operator_origin, with_database
    from vault import custody
    from vault.ids import key_name

    root = with_database(lambda settings, database: custody.initialise(settings, database, operator_origin()))
    show_record({"rootKeyId": key_name(root)}, as_json=as_json)
    remark("Keep copies of the keystore file and of its passphrase, apart from each other and from the database.")


@keys.command()
@click.option("--rows/--no-rows", default=True, help="Count what needs each key, which reads every table once.")
@json_option
def status(*, rows: bool, as_json: bool) -> None:
    """Show the root keys, whether they open, and every data key: its use, what needs it, and what is due next."""
    from ops.key_inventory import read_all
    from ops.operating import with_database

    state, inventory = with_database(lambda settings, database: read_all(settings, database, rows=rows))
    entries = [entry.as_record() for entry in inventory]
    if as_json:
        show_record(state.as_record() | {"keys": entries}, as_json=True)
        return
    show_table([root.as_record() for root in state.roots], ("rootKeyId", "version", "seal", "opens"), as_json=False)
    click.echo()
    columns = ("merchantId", "purpose", "state", "keys", "oldest", "usedPercent")
    show_table([ring.as_record() for ring in state.rings], columns, as_json=False)
    click.echo()
    details = ("keyId", "merchantId", "purpose", "state", "ageDays", "rows", "usedPercent", "due", "dueAt", "warning")
    show_table(entries, details, as_json=False)
