"""A program that supervises a server until it is killed, as root, or as an ordinary user where the tests run as root.

Arguments: the folder, the programs' folder, and "ordinary" or "same". It says the server's process id and URL.
"""

import os
import pwd
import signal
import sys
from pathlib import Path

from ops import embedded
from ops.embedded_binaries import Binaries, find_binaries


def main(root: str, programs: str, who: str) -> None:
    release = find_binaries().release
    if who == "ordinary" and os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        found = Binaries(find_binaries().source, release, Path(programs))
        # The virtual environment may be private, so the programs are where root has put them.
        vars(embedded)["find_binaries"] = lambda *_, **__: found
    server = embedded.EmbeddedPostgres(Path(root))
    server.start()
    sys.stdout.write(f"{server.pid} {server.url('postgres')}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
