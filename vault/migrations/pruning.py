"""What the database lets become of old entries of the audit log: their octets may go, their hashes stay.

It refuses to know who decides that. Invariants: no row of the log is deleted, and none is changed but by taking its
octets away, which nobody can before they are three months old (PCI DSS 10.5.1, controls.md AUD-9).
"""

from collections.abc import Iterator

from vault.migrations.guards import append_only

_GUARD = """
create function vault.guard_entry() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if new.entry is not null
        or (to_jsonb(new) - 'entry') <> (to_jsonb(old) - 'entry')
        or old.occurred_at > clock_timestamp() - interval '92 days' then
        raise exception 'rows of % are only added, and pruned when they are old', tg_table_name
            using errcode = '23514', constraint = 'append_only';
    end if;
    return new;
end
$$
"""


def upgrade() -> Iterator[str]:
    """Give the statements that put the rule for updates in the place of their refusal."""
    yield _GUARD
    yield "revoke all on function vault.guard_entry() from public"
    yield "drop trigger append_only on vault.audit_leaf"
    yield (
        "create trigger append_only before delete or truncate on vault.audit_leaf "
        "for each statement execute function vault.refuse_change()"
    )
    yield (
        "create trigger guard_entry before update on vault.audit_leaf for each row execute function vault.guard_entry()"
    )


def downgrade() -> Iterator[str]:
    """Give the statements that take it back, which fail once something was pruned."""
    yield "drop trigger append_only on vault.audit_leaf"
    yield append_only("audit_leaf")
    yield "drop function vault.guard_entry() cascade"
