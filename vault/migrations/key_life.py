"""What the database itself enforces of a data key's life: its states, its succession and its destruction.

It refuses to know who asks. Invariants: a key never becomes active again (controls.md KEY-8); one is destroyed only
after its waiting period and while no row refers to it, because it is deleted first, which the foreign keys of all that
is sealed or hashed with it refuse; what stays is a row without the key.
"""

from collections.abc import Iterator

from vault.migrations.guards import only_for
from vault.roles import APP, OPERATOR

_GUARD = """
create function vault.guard_data_key() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if (old.state, new.state) not in (('active', 'decrypt_only'), ('active', 'compromised'),
                                      ('decrypt_only', 'compromised')) then
        raise exception 'a data key cannot go from % to %', old.state, new.state
            using errcode = '23514', constraint = 'data_key_transition';
    end if;
    return new;
end
$$
"""

# The lock waits for whoever is inserting under the key, and makes the two that rotate at once come one after the other.
_ROTATE = """
create function vault.rotate_data_key(retired bytea, successor bytea, successor_root bytea, successor_wrapped bytea)
returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    old vault.data_key;
begin
    select * into old from vault.data_key where id = retired for update;
    if old.state is distinct from 'active' then
        return false;
    end if;
    update vault.data_key set state = 'decrypt_only', deactivated_at = clock_timestamp() where id = retired;
    insert into vault.data_key (id, merchant_id, purpose, state, root_key_id, wrapped)
    values (successor, old.merchant_id, old.purpose, 'active', successor_root, successor_wrapped);
    insert into vault.key_usage (key_id) values (successor);
    return true;
end
$$
"""

# Two statements, not one: within one, the row that takes the deleted one's place would satisfy the foreign keys.
_DESTROY = """
create function vault.destroy_data_key(doomed bytea) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    old vault.data_key;
    used bigint;
begin
    select * into old from vault.data_key where id = doomed for update;
    if old.state is null or old.state not in ('decrypt_only', 'compromised')
        or coalesce(old.destroy_after > clock_timestamp(), true) then
        return false;
    end if;
    delete from vault.key_usage where key_id = doomed returning reserved into used;
    delete from vault.data_key where id = doomed;
    old.state := 'destroyed';
    old.wrapped := '';
    old.destroyed_at := clock_timestamp();
    insert into vault.data_key select old.*;
    insert into vault.key_usage (key_id, reserved) values (doomed, used);
    return true;
end
$$
"""
_CHANGED_BY_OPERATORS = "state, deactivated_at, compromised_at, replace_by, destroy_after"
_FUNCTIONS = ("rotate_data_key(bytea, bytea, bytea, bytea)", "destroy_data_key(bytea)")


def upgrade() -> Iterator[str]:
    """Give the statements that make functions and trigger, and let both roles rotate and destroy within these rules."""
    yield from (_GUARD, _ROTATE, _DESTROY)
    yield (
        "create trigger guard_state before update on vault.data_key for each row "
        "when (old.state is distinct from new.state) execute function vault.guard_data_key()"
    )
    yield from only_for(("guard_data_key()",))
    yield from only_for(_FUNCTIONS, APP, OPERATOR)
    yield f"grant update ({_CHANGED_BY_OPERATORS}) on vault.data_key to {OPERATOR}"


def downgrade() -> Iterator[str]:
    """Give the statements that take them away."""
    yield f"revoke update ({_CHANGED_BY_OPERATORS}) on vault.data_key from {OPERATOR}"
    for function in _FUNCTIONS:
        yield f"drop function vault.{function}"
    yield "drop function vault.guard_data_key() cascade"
