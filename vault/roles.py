"""The database roles that the vault acts in.

It refuses to know what they may do (that is `vault.migrations.guards`). Invariant: nothing is imported here, so that a
server does not load the migrations for a few names.
"""

from typing import Final

APP: Final = "cardvault_app"
OPERATOR: Final = "cardvault_operator"
SEQUENCER: Final = "cardvault_sequencer"
AUDITOR: Final = "cardvault_auditor"
