import base64
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.canary import (
    AMEX_CANARY,
    AMEX_CVV_CANARY,
    CANARY_CVVS,
    CANARY_PANS,
    CVV_CANARY,
    VISA_CANARY,
    assert_clean,
    forms_in,
    forms_in_text,
    leaks_in_folder,
)
from vault.brands import brand_of, luhn_ok
from vault.card_policy import PUBLISHED_TEST_NUMBERS

REPOSITORY = Path(__file__).parents[1]
NOISE = bytes(range(256)) * 40
RUN = """
import asyncio
import asyncpg
import pytest
from tests.canary import CVV_CANARY, VISA_CANARY

def execute(url, *statements):
    async def run():
        connection = await asyncpg.connect(url, ssl=False)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()
    asyncio.run(run())

def test_clean(empty_database_url, log_folder):
    execute(empty_database_url, "create table t (a text)", "insert into t values ('4111111111111111')")
    (log_folder / "clean.log").write_text("took 97 ms, 12,097 rows, 20:58:00.097")

def test_row(empty_database_url):
    execute(empty_database_url, "create table t (a bytea)", f"insert into t values ('{VISA_CANARY}')")

def test_code_in_row(empty_database_url):
    execute(empty_database_url, "create table t (a int, b jsonb)", f"insert into t values (1, '{{\\"x\\": \\"{CVV_CANARY}\\"}}')")

def test_deleted_row(empty_database_url):
    execute(empty_database_url, "create table t (a text)", f"insert into t values ('{VISA_CANARY}')", "delete from t")

def test_log(log_folder):
    (log_folder / "server.log").write_text(f"cvv={CVV_CANARY}")

def test_output():
    print(" ".join(VISA_CANARY[i:i + 4] for i in range(0, 16, 4)))

def test_exception():
    raise RuntimeError(VISA_CANARY)
"""


def grouped(digits: str, separator: str) -> str:
    return separator.join(digits[start : start + 4] for start in range(0, len(digits), 4))


@pytest.mark.parametrize("pan", CANARY_PANS)
class TestCardNumber:
    def test_it_is_a_card_number_that_nobody_publishes(self, pan: str) -> None:
        assert luhn_ok(pan)
        assert brand_of(pan) is not None
        assert pan not in PUBLISHED_TEST_NUMBERS

    def test_it_shares_its_middle_so_that_one_search_serves_all(self, pan: str) -> None:
        assert pan[4:12] == VISA_CANARY[4:12]

    def test_its_last_digits_are_no_code(self, pan: str) -> None:
        assert not any(pan.endswith(code) for code in CANARY_CVVS)

    @pytest.mark.parametrize("separator", [" ", "-", "+", "%20"])
    def test_it_is_found_in_groups(self, pan: str, separator: str) -> None:
        assert forms_in(NOISE + grouped(pan, separator).encode() + NOISE) == {"digits in groups"}

    @pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
    @pytest.mark.parametrize("after", ["", "x", "xy"])
    def test_it_is_found_in_base64_at_every_alignment(self, pan: str, before: str, after: str) -> None:
        encoded = base64.b64encode(f"{before}{pan}{after}".encode())
        assert forms_in(NOISE + encoded + NOISE) == {"base64"}

    @pytest.mark.parametrize(
        ("form", "write"),
        [
            ("digits", str.encode),
            ("digits", lambda pan: json.dumps({"cardNo": int(pan)}).encode()),
            ("digits", lambda pan: str(float(pan)).encode()),
            ("digits", lambda pan: quote(f"a={pan}&").encode()),
            ("digits in groups", lambda pan: quote_plus(grouped(pan, " ")).encode()),
            ("hexadecimal", lambda pan: pan.encode().hex().encode()),
            ("hexadecimal", lambda pan: pan.encode().hex().upper().encode()),
            ("percent-encoded", lambda pan: "".join(f"%{ord(each):X}" for each in pan).encode()),
            ("JSON escapes", lambda pan: "".join(f"\\u{ord(each):04X}" for each in pan).encode()),
            ("UTF-16", lambda pan: pan.encode("utf-16-le")),
            ("UTF-16", lambda pan: pan.encode("utf-16-be")),
            ("bigint", lambda pan: struct.pack("<q", int(pan))),
            ("packed decimal", lambda pan: bytes.fromhex(pan.zfill(16))),
        ],
    )
    def test_it_is_found_in_disguise(self, pan: str, form: str, write: object) -> None:
        assert callable(write)
        assert form in forms_in(NOISE + write(pan) + NOISE)

    def test_its_neighbour_is_nothing(self, pan: str) -> None:
        assert forms_in(pan[:-1] + str((int(pan[-1]) + 1) % 10)) == set()
        assert forms_in(pan[:8] + "******" + pan[-4:]) == set()


def test_an_amex_number_is_found_as_people_write_it() -> None:
    assert forms_in(f"{AMEX_CANARY[:4]} {AMEX_CANARY[4:10]} {AMEX_CANARY[10:]}") == {"digits in groups"}


class TestCode:
    @pytest.mark.parametrize("code", CANARY_CVVS)
    @pytest.mark.parametrize("text", ["cvv={}", "cvv: {}", '{{"cvv":"{}"}}', "({})", "a,{},b", "{}", "cvv:{}\n"])
    def test_it_is_found_as_a_word(self, code: str, text: str) -> None:
        assert "code" in forms_in_text(text.format(code))

    @pytest.mark.parametrize("code", CANARY_CVVS)
    @pytest.mark.parametrize(
        "text",
        ["1{}", "{}1", "a{}", "12.{}", "12,{} rows", "20:58:00.{}", "20:58:00,{} INFO", "************{}", "+{}", "-{}"],
    )
    def test_a_part_of_something_else_is_none(self, code: str, text: str) -> None:
        assert forms_in_text(text.format(code)) == set()

    @pytest.mark.parametrize("code", CANARY_CVVS)
    def test_in_bytes_it_counts_when_quoted(self, code: str) -> None:
        assert forms_in(NOISE + f'"{code}"'.encode() + NOISE) == {"quoted code"}
        assert forms_in(NOISE + code.encode() + NOISE) == set()

    def test_one_with_four_digits_is_neither_month_and_year_nor_a_number(self) -> None:
        assert AMEX_CVV_CANARY.startswith("00")


class TestFiles:
    def test_a_canary_across_the_pieces_of_a_file_is_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ops.leaks._CHUNK", 1000)
        for offset in range(980, 1005):
            (tmp_path / "wal").write_bytes(b"\0" * offset + VISA_CANARY.encode() + b"\0" * 100)
            assert [leak.form for leak in leaks_in_folder(tmp_path, text=False)] == ["digits"]

    def test_codes_as_words_count_in_text_files_alone(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "log").write_text(f"cvv {CVV_CANARY}")
        assert leaks_in_folder(tmp_path, text=False) == []
        assert [leak.path.name for leak in leaks_in_folder(tmp_path, text=True)] == ["log"]

    def test_a_failed_check_names_place_and_form_only(self) -> None:
        with pytest.raises(AssertionError, match=r"^the answer holds a canary as digits$") as failure:
            assert_clean(f"x {VISA_CANARY}", "the answer")
        assert VISA_CANARY not in str(failure.value)

    def test_a_clean_text_passes(self) -> None:
        assert_clean(b'{"maskedCardNo":"************6057"}', "the answer")


def test_a_leak_anywhere_fails_the_run_and_is_not_repeated(tmp_path: Path) -> None:
    """T-36: rows, rows long deleted, logs, output and exceptions; a clean test stays green."""
    (tmp_path / "test_leaks.py").write_text(RUN)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-v",
    ]
    done = subprocess.run([*command, tmp_path], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    for test, outcome in [
        ("clean", "PASSED"),
        ("row", "ERROR"),
        ("code_in_row", "ERROR"),
        ("deleted_row", "PASSED"),
        ("log", "PASSED"),
        ("output", "FAILED"),
        ("exception", "FAILED"),
    ]:
        assert [line for line in lines if f"::test_{test} {outcome}" in line], (test, done.stdout)
    assert "canary search" in done.stdout
    assert "server.log holds a canary as code" in done.stdout
    assert "pg_wal" in done.stdout
    assert "clean.log" not in done.stdout
    assert forms_in_text(done.stdout + done.stderr) == set()
    shutil.rmtree(re.findall(r"(\S+/cardvault-tests-\w+)/", done.stdout)[0])
