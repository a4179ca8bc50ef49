"""The whole schema's metadata: importing it is importing every module that declares tables.

It refuses to know any of them. Invariant: what migrations compare and what the data inventory lists is the same.
"""

from vault import (  # noqa: F401 - they add their tables to the metadata
    approval_tables,
    attempt_table,
    audit_tables,
    limit_tables,
    mandate_table,
    movement_table,
    offer_table,
    reencryption_tables,
    retention_tables,
    shredding_tables,
    vaulting_table,
    webhook_tables,
    worker_table,
)
from vault.schema import metadata

__all__ = ["metadata"]
