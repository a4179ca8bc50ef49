"""Exports the audit log as a script: `python -m ops.export_audit --from 2026-01-01 --output DIR`.

It refuses to do anything of its own. Invariant: it is the command `cardvault audit export`, exit codes included.
"""

import sys

from ops.cli import main

if __name__ == "__main__":
    main(["audit", "export", *sys.argv[1:]], prog_name="cardvault")
