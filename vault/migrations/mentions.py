"""Which ids an entry of the audit log mentions, kept by the database beside the log, so that lists of one are short.

It refuses to know events. Invariants: what cannot be read as an id is passed over, so that no entry keeps the log from
growing; of a pruned entry nothing is kept; nobody writes here but the triggers (ADR 0038).
"""

from collections.abc import Iterator

# Octets beyond ASCII are escaped, so that this fails on no entry. Its own id and its merchant's would find only itself
# and everything.
_MENTIONED = """
select distinct named[1], leaf.epoch, leaf.place
from {leaves} leaf,
    regexp_matches(encode(leaf.entry, 'escape'), '"([a-z]{{2,8}}_[a-z2-7]{{26}})"', 'g') named
where leaf.entry is not null and named[1] not in (leaf.event_id, leaf.merchant_id)
"""
_KEEP = "insert into vault.audit_mention (object_id, epoch, place) {mentioned} on conflict do nothing"
_FORGET = """
delete from vault.audit_mention kept using ({mentioned}) gone(object_id, epoch, place)
where (kept.object_id, kept.epoch, kept.place) = (gone.object_id, gone.epoch, gone.place)
"""
_FUNCTION = """
create function vault.{name}() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    {statement};
    return null;
end
$$
"""


def upgrade() -> Iterator[str]:
    """Give the statements after which the mentions of new entries are kept, and of pruned ones forgotten."""
    new, old = _MENTIONED.format(leaves="added"), _MENTIONED.format(leaves="pruned")
    yield _FUNCTION.format(name="keep_mentions", statement=_KEEP.format(mentioned=new))
    yield _FUNCTION.format(name="forget_mentions", statement=_FORGET.format(mentioned=old))
    for name in ("keep_mentions", "forget_mentions"):
        yield f"revoke all on function vault.{name}() from public"
    yield (
        "create trigger keep_mentions after insert on vault.audit_leaf referencing new table as added "
        "for each statement execute function vault.keep_mentions()"
    )
    yield (
        "create trigger forget_mentions after update on vault.audit_leaf referencing old table as pruned "
        "for each statement execute function vault.forget_mentions()"
    )


def downgrade() -> Iterator[str]:
    """Give the statements that take the triggers away."""
    yield "drop function vault.keep_mentions() cascade"
    yield "drop function vault.forget_mentions() cascade"


def of_earlier_entries() -> str:
    """Give the statement that keeps the mentions of all entries that there are."""
    return _KEEP.format(mentioned=_MENTIONED.format(leaves="vault.audit_leaf"))
