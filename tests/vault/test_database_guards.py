"""What the database itself refuses, whoever asks: changes without an event, and whatever a role was not given."""

from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest

from vault import tables
from vault.db import Database, StatementFailed
from vault.every_table import metadata
from vault.migrations.guards import GRANTS
from vault.roles import APP, AUDITOR, OPERATOR, SEQUENCER
from vault.schema import DataClass

pytestmark = pytest.mark.anyio
Root: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
EVENT = "insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', '')"
ALARM = "insert into vault.alarm (merchant_id, id, code, object_id, details) values ('', '{}', 'c', '{}', '{{}}')"
TABLES = sorted(metadata.tables.values(), key=lambda table: table.name)


@pytest.fixture
async def root(database_url: str) -> AsyncIterator[Root]:
    """The superuser: even it is held by the triggers."""
    connection = await asyncpg.connect(database_url, ssl=False)
    yield connection
    await connection.close()


def test_every_column_says_what_it_holds() -> None:
    for table in TABLES:
        for column in table.columns:
            assert isinstance(column.info.get("data"), DataClass), f"{table.name}.{column.name}"


def test_every_primary_key_of_merchant_data_starts_with_the_merchant() -> None:
    own = {"root_key", "root_wrap", "data_key", "key_usage", "merchant", "api_client", "api_secret"}
    own |= {"reencryption", "reencryption_part", "operator", "approval_request", "approval"}
    own |= {"retention_run", "share_set", "custodian_share", "worker_loop"}
    own |= {"root_opener", "opener_end", "shredding"}
    for table in TABLES:
        if table.name not in own and not table.name.startswith("audit_"):
            assert next(iter(table.primary_key)).name == "merchant_id", table.name


async def test_sealed_values_and_wrapped_keys_are_in_no_statistics(root: Root) -> None:
    """The planner keeps samples of columns as they are, also of rows that were deleted: see `guards.unsampled`."""
    for table in TABLES:
        for column in table.columns:
            if column.info["data"] in {DataClass.SEALED, DataClass.WRAPPED_KEY}:
                target = await root.fetchval(
                    "select attstattarget from pg_attribute where attrelid = $1::text::regclass and attname = $2",
                    f"vault.{table.name}",
                    column.name,
                )
                assert target == 0, f"{table.name}.{column.name}"


async def test_every_table_is_guarded_or_listed_as_needing_no_event(root: Root) -> None:
    rows = await root.fetch(
        "select relname, count(*) from pg_trigger join pg_class on pg_class.oid = tgrelid "
        "where tgname in ('audit_insert_delete', 'audit_update') and tgdeferrable and tginitdeferred group by relname"
    )
    assert {row["relname"]: row["count"] for row in rows} == {
        table.name: 2 for table in TABLES if table.name not in tables.UNAUDITED
    }


async def test_every_guarded_table_refuses_a_row_without_an_event(root: Root) -> None:
    """Rows are inserted as they are, foreign keys aside: the trigger alone decides."""
    for table in TABLES:
        if table.name in tables.UNAUDITED:
            continue
        definition = await root.fetchval(
            "select string_agg(pg_get_triggerdef(t.oid), ' ') from pg_trigger t join pg_class c on c.oid = tgrelid "
            "where relname = $1 and tgname like 'audit_%'",
            table.name,
        )
        assert "INSERT OR DELETE" in definition
        assert "old.* IS DISTINCT FROM new.*" in definition


async def test_an_insert_without_an_event_is_refused(root: Root) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await root.execute(ALARM.format(1, 1))
    assert await root.fetchval("select count(*) from vault.alarm") == 0


async def test_an_update_and_a_delete_without_an_event_are_refused(root: Root) -> None:
    async with root.transaction():
        await root.execute(EVENT)
        await root.execute(ALARM.format(1, 1))
    for change in ("update vault.alarm set code = 'd'", "delete from vault.alarm"):
        with pytest.raises(asyncpg.CheckViolationError):
            await root.execute(change)
    await root.execute("update vault.alarm set code = code")


async def test_an_event_that_was_rolled_back_to_a_savepoint_does_not_count(root: Root) -> None:
    """T-25."""
    transaction = root.transaction()
    await transaction.start()
    await root.execute(ALARM.format(1, 1))
    savepoint = root.transaction()
    await savepoint.start()
    await root.execute(EVENT)
    await savepoint.rollback()
    with pytest.raises(asyncpg.CheckViolationError):
        await transaction.commit()


async def test_an_event_in_a_savepoint_that_stays_counts(root: Root) -> None:
    async with root.transaction():
        await root.execute(ALARM.format(1, 1))
        async with root.transaction():
            await root.execute(EVENT)
    assert await root.fetchval("select count(*) from vault.alarm") == 1


async def test_an_event_of_another_transaction_does_not_count(root: Root) -> None:
    await root.execute(EVENT)
    with pytest.raises(asyncpg.CheckViolationError):
        await root.execute(ALARM.format(1, 1))


async def test_a_change_of_several_rows_needs_one_event(root: Root) -> None:
    async with root.transaction():
        await root.execute(EVENT)
        for number in range(3):
            await root.execute(ALARM.format(number, number))
    assert await root.fetchval("select count(*) from vault.alarm") == 3


FORBIDDEN = [
    "update vault.audit_pending set body = ''",
    "truncate vault.audit_pending",
    "insert into vault.audit_pending (xid, event_id, merchant_id, body) values ('1', 'e', '', '')",
    "insert into vault.audit_pending (ord, event_id, merchant_id, body) overriding system value values (1, 'e', '', '')",
    "insert into vault.audit_pending (occurred_at, event_id, merchant_id, body) values (now(), 'e', '', '')",
    "update vault.audit_leaf set hash = ''",
    "delete from vault.audit_leaf",
    "truncate vault.audit_leaf",
    "delete from vault.audit_checkpoint",
    "update vault.audit_checkpoint set note = ''",
    "create table vault.mine (id int)",
    "create table public.mine (id int)",
    "drop table vault.alarm",
    "alter table vault.card disable trigger all",
    "set session_replication_role = replica",
    "create or replace function vault.require_audit_event() returns trigger language plpgsql as 'begin return null; end'",
    "update vault.alarm set code = 'x'",
    "delete from vault.alarm",
    "delete from vault.payment",
    "delete from vault.card",
    "delete from vault.mandate",
    "update vault.mandate set max_value = 1",
    "update vault.mandate set card_id = 'x'",
    "update vault.payment_inquiry set payment_id = 'x'",
]
_OF_THE_LOG = [
    "select * from vault.audit_pending",
    "delete from vault.audit_pending",
    "select * from vault.audit_leaf",
    "select * from vault.audit_head",
    "insert into vault.audit_checkpoint (epoch, size, note) values (1, 0, '')",
]
FORBIDDEN_FOR = {
    APP: [
        "update vault.merchant set name = 'x'",
        "insert into vault.root_key (id) values ('')",
        "update vault.data_key set state = 'x'",
        "select * from vault.operator",
        "insert into vault.approval_request (id) values ('')",
        *_OF_THE_LOG,
    ],
    OPERATOR: [
        "select * from vault.card_secret",
        "select * from vault.payment_secret",
        "update vault.card set buyer = 'x'",
        "update vault.operator set person = 'x'",
        "delete from vault.operator",
        "update vault.approval_request set parameters = '{}'",
        "update vault.approval set verb = 'approve'",
        "delete from vault.approval",
        *_OF_THE_LOG,
    ],
    SEQUENCER: [
        "select * from vault.card",
        "select * from vault.data_key",
        "insert into vault.audit_epoch (epoch, reason) values (2, 'x')",
    ],
    AUDITOR: [
        "insert into vault.audit_leaf values (1, 0, '', '', now(), '', '')",
        "insert into vault.audit_checkpoint (epoch, size, note) values (1, 0, '')",
        "update vault.audit_head set size = 0",
        "select * from vault.card",
    ],
}


async def _sqlstate(database: Database, statement: str) -> str | None:
    try:
        async with database.session() as session:
            await session.rows(statement)
    except StatementFailed as refused:
        return refused.sqlstate
    return None


@pytest.mark.parametrize("role", FORBIDDEN_FOR)
async def test_a_role_can_do_nothing_that_it_was_not_given(database_url: str, role: str) -> None:
    database = Database(database_url, role=role, pool_size=1)
    try:
        for statement in FORBIDDEN + FORBIDDEN_FOR[role]:
            assert await _sqlstate(database, statement) in {"42501", "428C9", "0A000"}, statement
    finally:
        await database.close()


async def test_the_queue_takes_events_and_sets_their_time_and_transaction_itself(database_url: str, root: Root) -> None:
    database = Database(database_url, role=APP, pool_size=1)
    try:
        async with database.session() as session:
            await session.rows(EVENT)
    finally:
        await database.close()
    row = await root.fetchrow("select * from vault.audit_pending")
    assert row is not None
    assert (row["event_id"], row["ord"]) == ("e", 1)


@pytest.mark.parametrize("table", ["audit_leaf", "audit_subtree", "audit_checkpoint", "audit_epoch"])
async def test_the_log_is_only_added_to_even_by_the_superuser(root: Root, table: str) -> None:
    """controls.md AUD-5."""
    await root.execute("insert into vault.audit_leaf values (1, 0, 'e', '', now(), '', '')")
    for change in (f"update vault.{table} set epoch = 2", f"delete from vault.{table}", f"truncate vault.{table}"):
        with pytest.raises(asyncpg.CheckViolationError):
            await root.execute(change)


async def test_every_privilege_in_the_catalogue_was_listed(root: Root) -> None:
    rows = await root.fetch(
        "select grantee, table_name from information_schema.role_table_grants where table_schema = 'vault' "
        "and grantee not in (current_user, 'PUBLIC') union select grantee, table_name from "
        "information_schema.role_column_grants where table_schema = 'vault' and grantee not in (current_user, 'PUBLIC')"
    )
    listed = {(role, table) for role, given in GRANTS.items() for table in given}
    assert {(row["grantee"], row["table_name"]) for row in rows} == listed


async def test_a_login_that_is_only_a_member_of_the_role_works(database_url: str, root: Root) -> None:
    login = f"member_{database_url.rpartition('/')[2]}"
    await root.execute(f"create role {login} login password 'only-for-this-test' in role {APP}")
    try:
        _, _, place = database_url.rpartition("@")
        database = Database(f"postgresql://{login}:only-for-this-test@{place}", role=APP, pool_size=1)
        async with database.session() as session:
            assert await session.value("select current_user") == APP
            assert await session.value("select count(*) from vault.card") == 0
        await database.close()
    finally:
        await root.execute(f"drop role {login}")
