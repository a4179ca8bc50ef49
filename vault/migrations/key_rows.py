"""What the database tells operators about rows that they may not read: how many of them need each data key.

It refuses to know tables. Invariant: every column that refers to a data key is counted, because the foreign keys
themselves say which those are.
"""

from collections.abc import Iterator

from vault.migrations.guards import only_for
from vault.roles import OPERATOR

_COUNT = """
create function vault.count_key_rows() returns table (place text, key_id bytea, total bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    referring record;
begin
    for referring in
        select t.relname, a.attname from pg_constraint c
        join pg_class t on t.oid = c.conrelid
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where c.contype = 'f' and c.confrelid = 'vault.data_key'::regclass and t.relname <> 'key_usage'
        order by 1, 2
    loop
        return query execute format(
            'select %L, %I, count(*) from vault.%I where %I is not null group by 2',
            referring.relname || '.' || referring.attname, referring.attname, referring.relname, referring.attname
        );
    end loop;
end
$$
"""
_FUNCTION = "count_key_rows()"


def upgrade() -> Iterator[str]:
    """Give the statements that make the function and let operators call it."""
    yield _COUNT
    yield from only_for((_FUNCTION,), OPERATOR)


def downgrade() -> Iterator[str]:
    """Give the statement that takes it away."""
    yield f"drop function vault.{_FUNCTION}"
