"""Rotates keys as a script: `python -m ops.rotate_keys data --merchant mer_…`.

It refuses to do anything of its own. Invariant: it is the command `cardvault keys rotate`, exit codes included.
"""

import sys

from ops.cli import main

if __name__ == "__main__":
    main(["keys", "rotate", *sys.argv[1:]], prog_name="cardvault")
