"""What the database itself enforces beside its tables: an audit event for every change, and least-privilege roles.

It refuses to know when it is applied (a revision says that). Invariants (audit-log.md 3.10 A to C): the trigger's
function runs as its owner with a fixed search path; the application may insert into the queue, without choosing the
transaction id or the order, and may not read it.
"""

from collections.abc import Collection, Iterator, Mapping

from vault.roles import APP, AUDITOR, OPERATOR, SEQUENCER

AUDIT_FUNCTION = """
create function vault.require_audit_event() returns trigger
language plpgsql security definer set search_path = pg_catalog, vault, pg_temp as $$
begin
    if not exists (select 1 from vault.audit_pending where xid = pg_current_xact_id()) then
        raise exception 'a change of % needs an audit event in its transaction', tg_table_name
            using errcode = '23514', constraint = 'audit_event_required';
    end if;
    return null;
end
$$
"""

APPEND_ONLY_FUNCTION = """
create function vault.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'rows of % are only added', tg_table_name using errcode = '23514', constraint = 'append_only';
end
$$
"""

_QUEUE = "insert (event_id, merchant_id, body)"

# Table -> what the role may do there since the table was made. A privilege with columns is limited to them; on columns
# that a later revision adds, that revision grants (`vault.migrations.key_life`).
GRANTS: Mapping[str, Mapping[str, str]] = {
    APP: {
        "root_key": "select",
        "root_wrap": "select",
        "data_key": "select",
        "key_usage": "select, update (reserved)",
        "reencryption": "select, update (state, next_at, running_since, done_before, finished_at)",
        "reencryption_part": "select, insert, update (total, done, damaged, position, open)",
        "merchant": "select",
        "api_client": "select",
        "api_secret": "select",
        "card": "select, insert, update",
        "card_secret": "select, insert, update (envelope, key_id), delete",
        "payment": "select, insert, update",
        "payment_secret": "select, insert, delete",
        "payment_inquiry": "select, insert, update (next_at, attempts), delete",
        "mandate": "select, insert, update (status, buyer, network_transaction_id, consent, reference, ended_at, "
        "updated_at)",
        "movement": "select, insert, update (status, gateway_id, result_code, result_status, result_message, not_sent, "
        "updated_at)",
        "card_attempt": "select, insert, update (network, refusal_code, advice_code, declined_at, kept), delete",
        "orphan_capture": "select, insert, update (next_at, attempts), delete",
        "installment_offer": "select, insert, update (plans, consulted_at)",
        "vaulting": "select, insert, update (status, ending, buyer, card_id, next_action, redirected, result_code, "
        "result_status, result_message, result_info, metadata, consent, fingerprint, fingerprint_key_id, "
        "updated_at)",
        "vaulting_secret": "select, insert, delete",
        "vaulting_inquiry": "select, insert, update (next_at, attempts), delete",
        "token_deletion": "select, insert, update (next_at, attempts), delete",
        "retention_class": "select",
        "retention_run": "select, insert, update (finished_at, last_merchant_id, last_card_id, examined, purged, held, "
        "overdue, oldest_due_at)",
        "event": "select, delete",
        "webhook_endpoint": "select, insert, update (status, tested_at, updated_at)",
        "webhook_secret": "select, insert, update (expires_at), delete",
        "webhook_delivery": "select, insert, update (status, round, tries, next_at, log, updated_at)",
        "webhook_pause": "select, insert, update (failures, until), delete",
        "rate_counter": "select, insert, update, delete",
        "card_sighting": "select, insert, update (seen_at), delete",
        "worker_loop": "select, insert, update (failures, worked_at, seen_at), delete",
        "alarm": "select, insert",
        "audit_pending": _QUEUE,
        "alembic_version": "select",
    },
    OPERATOR: {
        "root_key": "select, insert",
        "root_wrap": "select, insert",
        "data_key": "select, insert",
        "share_set": "select, insert",
        "custodian_share": "select, insert, update (acknowledged_at, statement)",
        "root_opener": "select",
        "opener_end": "select, insert, update (address, fate, due_at, updated_at)",
        "shredding": "select, insert, update (created_at, completed_at)",
        "shredded_card": "select, insert",
        "key_usage": "select, insert, update (reserved)",
        "reencryption": "select, insert, update",
        "reencryption_part": "select",
        "merchant": "select, insert, update",
        "api_client": "select, insert, update (name, scopes, cidrs, expires_at, revoked_at)",
        "api_secret": "select, insert, update (expires_at), delete",
        "retention_class": "select, insert",
        "retention_run": "select",
        "card": "select",
        "payment": "select",
        "mandate": "select",
        "movement": "select",
        "vaulting": "select",
        "payment_inquiry": "select",
        "card_attempt": "select",
        "worker_loop": "select",
        "operator": "select, insert, update (revoked_at)",
        "approval_request": "select, insert, update (consumed_at)",
        "approval": "select, insert",
        "audit_head": "select (epoch, origin)",
        "audit_leaf": "select (epoch, place), update (entry)",
        "audit_epoch": "select (epoch), insert (epoch, reason)",
        "audit_rotation": "insert (key_id, note)",
        "alarm": "select, insert",
        "audit_pending": _QUEUE,
        "alembic_version": "select",
    },
    SEQUENCER: {
        "data_key": "select (id, merchant_id, purpose, state)",
        "audit_pending": f"{_QUEUE}, select, delete",
        "audit_head": "select, insert, update (size, frontier, appended_at)",
        "audit_epoch": "select",
        "audit_rotation": "select",
        "audit_leaf": "select, insert",
        "audit_subtree": "select, insert",
        "audit_checkpoint": "select, insert",
        "audit_sink": "select, insert, update (epoch, next_place, delivered_at, next_at, trouble, failures)",
        "alarm": "select, insert",
    },
    AUDITOR: {
        "root_key": "select",
        "root_wrap": "select",
        "data_key": "select",
        "audit_head": "select",
        "audit_epoch": "select",
        "audit_rotation": "select",
        "audit_leaf": "select",
        "audit_mention": "select",
        "audit_subtree": "select",
        "audit_checkpoint": "select",
        "audit_sink": "select, delete",
        "alarm": "select, insert",
        "audit_pending": _QUEUE,
    },
}


def audit_triggers(table: str) -> Iterator[str]:
    """Give the statements that make a table refuse a commit without an event; an update without a change needs none."""
    timing = "deferrable initially deferred for each row"
    yield (
        f"create constraint trigger audit_insert_delete after insert or delete on vault.{table} "
        f"{timing} execute function vault.require_audit_event()"
    )
    yield (
        f"create constraint trigger audit_update after update on vault.{table} "
        f"{timing} when (old.* is distinct from new.*) execute function vault.require_audit_event()"
    )


def append_only(table: str) -> str:
    """Give the statement that makes a table refuse whatever is not an insertion, also to its owner."""
    return (
        f"create trigger append_only before update or delete or truncate on vault.{table} "
        "for each statement execute function vault.refuse_change()"
    )


def unsampled(table: str, column: str) -> str:
    """Give the statement that keeps a sealed value or a wrapped key out of the planner's statistics.

    Those hold values as they are, and would keep them after their row was deleted.
    """
    return f"alter table vault.{table} alter column {column} set statistics 0"


def create_role(role: str) -> str:
    """Give the statement that makes a role that cannot log in, unless the cluster has it already."""
    return (
        f"do $$ begin create role {role} nologin; exception when duplicate_object or unique_violation then null; end $$"
    )


def only_for(functions: Collection[str], *roles: str) -> Iterator[str]:
    """Give the statements that let these roles call functions (with their parameters' types), and nobody else."""
    for function in functions:
        yield f"revoke all on function vault.{function} from public"
        if roles:
            yield f"grant execute on function vault.{function} to {', '.join(roles)}"


def grants(tables: Collection[str], roles: Collection[str] = tuple(GRANTS)) -> Iterator[str]:
    """Give the statements that allow each role exactly what `GRANTS` lists for the tables that a revision makes."""
    for role, granted in GRANTS.items():
        if role not in roles:
            continue
        yield f"grant usage on schema vault to {role}"
        for table, privileges in granted.items():
            if table not in tables:
                continue
            yield f"grant {privileges} on vault.{table} to {role}"
