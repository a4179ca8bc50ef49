"""Events that the database itself writes: for each table, which changes merchants are told of, as what, with what.

It refuses to know who is told how. Invariants: an event stands or falls with its change, whichever statement makes it;
it is numbered under the lock that the change holds on its row; its data are ids, states, amounts and masked numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Told:
    """SQL expressions over `old` and `new`: the event's type, its data, and which rows are told of when they change."""

    type: str
    data: str
    inserted: str | None = None
    updated: str | None = None


_MOVED: Final = "new.status in ('SUCCESS', 'FAIL')"

TOLD: Final[Mapping[str, Told]] = {
    "card": Told(
        type="""case
        when tg_op = 'INSERT' then 'card.stored'
        when old.expired_at is null and new.expired_at is not null then 'card.expired'
        when new.status = old.status then 'card.updated'
        when new.status = 'ACTIVE' then 'card.reactivated'
        else 'card.' || lower(new.status) end""",
        data="""jsonb_build_object('cardId', new.id, 'status',
        case when new.status = 'ACTIVE' and new.expired_at is not null then 'EXPIRED' else new.status end,
        'cardBrand', new.brand, 'maskedCardNo', new.masked, 'isDefault', new.is_default)
        || case when new.status = 'DELETED' then jsonb_build_object('reason', new.deletion_reason)
        else jsonb_build_object() end""",
        inserted="true",
        updated="old.status <> new.status or old.is_default <> new.is_default or old.updated_at <> new.updated_at",
    ),
    "payment": Told(
        type="""case
        when new.status = old.status then 'payment.authorisation_expired'
        when new.status = 'SUCCESS' then 'payment.succeeded'
        when new.status = 'FAIL' then 'payment.failed'
        else 'payment.' || lower(new.status) end""",
        data="""jsonb_build_object('paymentId', new.id, 'paymentRequestId', new.request_id, 'kind', new.kind,
        'paymentStatus', new.status, 'captureStatus', new.capture_status, 'paymentAmount',
        jsonb_build_object('currency', new.currency, 'value', new.value::text), 'cardId', new.card_id,
        'maskedCardNo', new.masked, 'mandateId', new.mandate_id, 'resultCode', new.result_code)""",
        updated="old.status <> new.status or (new.capture_status = 'EXPIRED' and old.capture_status <> 'EXPIRED')",
    ),
    "movement": Told(
        type="lower(new.kind) || case new.status when 'SUCCESS' then '.succeeded' else '.failed' end",
        data="""jsonb_build_object(lower(new.kind) || 'Id', new.id, lower(new.kind) || 'RequestId', new.request_id,
        'paymentId', new.payment_id, 'status', new.status, lower(new.kind) || 'Amount',
        jsonb_build_object('currency', new.currency, 'value', new.value::text), 'resultCode', new.result_code)""",
        inserted=_MOVED,
        updated=f"old.status <> new.status and {_MOVED}",
    ),
    "vaulting": Told(
        type="'card.not_stored'",
        data="""jsonb_build_object('vaultingRequestId', new.request_id, 'cardId', new.pending_card_id,
        'resultCode', new.result_code)""",
        updated="old.status <> 'FAIL' and new.status = 'FAIL'",
    ),
    "mandate": Told(
        type="'mandate.ended'",
        data="jsonb_build_object('mandateId', new.id, 'cardId', new.card_id, 'status', new.status)",
        updated="old.status <> 'ENDED' and new.status = 'ENDED'",
    ),
    "webhook_endpoint": Told(
        type="'webhook.test'",
        data="jsonb_build_object('endpointId', new.id)",
        updated="old.tested_at is distinct from new.tested_at",
    ),
}

# A UUIDv7 (RFC 9562 section 5.7): a random one of version 4 with the time in front and the two missing version bits.
_NEW_ID: Final = """encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) placing
            substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
            52, 1), 53, 1), 'hex')::uuid"""

# In small steps, since most changes find no endpoint and an object's first event has no other before it.
_FUNCTION: Final = """
create or replace function vault.tell_{table}() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    told constant text := {type};
    event_id constant uuid := {new_id};
    number integer := 1;
begin
    if tg_op = 'UPDATE' then
        select coalesce(max(e.sequence), 0) + 1 into number
        from vault.event e where e.merchant_id = new.merchant_id and e.object_id = new.id;
    end if;
    insert into vault.event (merchant_id, id, type, object_id, sequence, data)
    values (new.merchant_id, event_id, told, new.id, number, {data});
    if exists (select from vault.webhook_endpoint e where e.merchant_id = new.merchant_id and e.status = 'ACTIVE') then
        insert into vault.webhook_delivery (merchant_id, event_id, endpoint_id, next_at)
        select new.merchant_id, event_id, e.id, clock_timestamp()
        from vault.webhook_endpoint e where e.merchant_id = new.merchant_id and e.status = 'ACTIVE'
            and case told when 'webhook.test' then e.id = new.id
            else cardinality(e.types) = 0 or e.types && array[told, split_part(told, '.', 1) || '.*'] end;
    end if;
    return null;
end
$$
"""


def telling(table: str, told: Told | None = None) -> Iterator[str]:
    """Give the statements that make a table's changes write events: those of `TOLD`, or others."""
    told = told or TOLD[table]
    yield _FUNCTION.format(table=table, type=told.type, data=told.data, new_id=_NEW_ID)
    yield f"revoke all on function vault.tell_{table}() from public"
    for action, wanted in {"insert": told.inserted, "update": told.updated}.items():
        if wanted is not None:
            yield (
                f"create trigger tell_{action} after {action} on vault.{table} "
                f"for each row when ({wanted}) execute function vault.tell_{table}()"
            )


def silence(table: str) -> Iterator[str]:
    """Give the statement that ends it."""
    yield f"drop function vault.tell_{table}() cascade"
