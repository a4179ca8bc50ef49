"""`cardvault keys rotate`: new keys in the place of those in use.

It refuses to know key material. Invariant: a rotation interrupts nothing, and what was sealed before opens as before.
"""

import click

from ops.cli.output import json_option, remark, show_table

_COLUMNS = ("merchantId", "purpose", "retiredKeyId", "activeKeyId")


@click.group()
def rotate() -> None:
    """Put new keys in the place of those in use."""


@rotate.command()
@click.option("--merchant", "merchant_id", metavar="ID", help="The keys of one merchant only.")
@json_option
def data(merchant_id: str | None, *, as_json: bool) -> None:
    """Rotate the keys that seal cards and credentials; the new ones are used at once, by every process.

    What was sealed before stays readable. Bring it under the new keys with `cardvault keys reencrypt`.
    """
    from ops.data_keys import rotate as rotate_keys
    from vault.key_life import DATA

    show_table(rotate_keys(DATA, merchant_id), _COLUMNS, as_json=as_json)
    remark("Sealed rows are still under the retired keys: cardvault keys reencrypt moves them.")


@rotate.command()
@click.option("--merchant", "merchant_id", metavar="ID", help="The key of one merchant only.")
@json_option
def fingerprint(merchant_id: str | None, *, as_json: bool) -> None:
    """Rotate the keys under which card numbers, repeated requests and API keys are recognised.

    Older versions go on being looked under. Cards whose number the vault holds get their new fingerprint from
    `cardvault keys reencrypt`; a card that only the gateway holds keeps its old one until it ends.
    """
    from ops.data_keys import rotate as rotate_keys
    from vault.key_life import FINGERPRINT

    show_table(rotate_keys(FINGERPRINT, merchant_id), _COLUMNS, as_json=as_json)
    remark("Stored cards are still known by the retired version: cardvault keys reencrypt gives them the new one.")
