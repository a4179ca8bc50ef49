"""What the database itself enforces of root keys: none goes while a data key needs it or while nothing else opens.

It refuses to know who asks and what a seal is. Invariants: a data key is never wrapped by a root key that is not in
use; a root key is retired only for a newer one and after its last data key was wrapped anew; a seal is removed only
while another one, which the caller has proven, opens every root key in use. Both functions lock the root keys' rows
first, so that whoever inserts meanwhile comes before or after them, never between.
"""

from collections.abc import Iterator

from vault.migrations.guards import only_for
from vault.roles import OPERATOR

_GUARD = """
create function vault.guard_data_key_root() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from vault.root_key where id = new.root_key_id and state = 'active' for key share;
    if not found then
        raise exception 'a data key needs an active root key'
            using errcode = '23503', constraint = 'data_key_root_active';
    end if;
    return new;
end
$$
"""

_RETIRE = """
create function vault.retire_root_key(retired bytea) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    old vault.root_key;
begin
    select * into old from vault.root_key where id = retired for update;
    if old.state is distinct from 'active'
        or not exists (select from vault.root_key where state = 'active' and version > old.version)
        or exists (select from vault.data_key where root_key_id = retired and state <> 'destroyed') then
        return false;
    end if;
    delete from vault.root_wrap where root_key_id = retired;
    update vault.root_key set state = 'retired' where id = retired;
    return true;
end
$$
"""

_REMOVE = """
create function vault.remove_seal(removed text, proven text[]) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from vault.root_key where state = 'active' order by id for update;
    if exists (select from vault.root_key r where r.state = 'active' and not exists (
            select from vault.root_wrap w where w.root_key_id = r.id and w.seal = any(proven) and w.seal <> removed))
    then
        return false;
    end if;
    delete from vault.root_wrap where seal = removed;
    return found;
end
$$
"""
_FUNCTIONS = ("retire_root_key(bytea)", "remove_seal(text, text[])")
_REWRAPPED = "root_key_id, wrapped"


def upgrade() -> Iterator[str]:
    """Give the statements that make functions and trigger, and let operators change root keys within these rules."""
    yield from (_GUARD, _RETIRE, _REMOVE)
    yield (
        "create trigger guard_root before insert or update of root_key_id on vault.data_key for each row "
        "when (new.state <> 'destroyed') execute function vault.guard_data_key_root()"
    )
    yield from only_for(("guard_data_key_root()",))
    yield from only_for(_FUNCTIONS, OPERATOR)
    yield f"grant update ({_REWRAPPED}) on vault.data_key to {OPERATOR}"


def downgrade() -> Iterator[str]:
    """Give the statements that take them away."""
    yield f"revoke update ({_REWRAPPED}) on vault.data_key from {OPERATOR}"
    for function in _FUNCTIONS:
        yield f"drop function vault.{function}"
    yield "drop function vault.guard_data_key_root() cascade"
