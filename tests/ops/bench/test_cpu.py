import os
import subprocess
import sys

from ops.bench.cpu import cpu_seconds

BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_a_process_is_counted_with_what_its_children_used() -> None:
    before = cpu_seconds([os.getpid()])
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert cpu_seconds([os.getpid()]) - before >= 0.28  # both readings are in hundredths


def test_running_grandchildren_are_counted() -> None:
    inner = f"{BUSY}print(flush=True)\nimport sys; sys.stdin.read()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cpu_seconds([process.pid]) >= 0.28
        process.communicate()


def test_a_process_that_is_gone_has_used_nothing() -> None:
    assert cpu_seconds([2**22 + 1]) == 0
