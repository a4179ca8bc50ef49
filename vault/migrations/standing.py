"""How the audit log stands, as numbers, for roles that may read neither its queue nor its leaves.

It refuses to know who asks. Invariant: no event is told, only how many there are and how old the oldest is
(audit-log.md 3.10 C).
"""

from typing import Final

AUDIT_STANDING: Final = """
create function vault.audit_standing(
    out waiting bigint, out oldest_seconds float8, out size bigint, out unsigned bigint, out checkpoint_seconds float8
) language sql stable security definer set search_path = pg_catalog, vault, pg_temp as $$
    select q.waiting, q.oldest_seconds, coalesce(h.size, 0), coalesce(h.size - coalesce(c.size, 0), 0),
        extract(epoch from clock_timestamp() - c.signed_at)::float8
    from (
        select count(*) as waiting,
            coalesce(extract(epoch from clock_timestamp() - min(occurred_at)), 0)::float8 as oldest_seconds
        from vault.audit_pending
    ) q left join vault.audit_head h on true left join lateral (
        select c.size, c.signed_at from vault.audit_checkpoint c where c.epoch = h.epoch order by c.size desc limit 1
    ) c on true
$$
"""

AUDIT_SINKS_STANDING: Final = """
create function vault.audit_sinks_standing(out told text, out seconds float8)
returns setof record language sql stable security definer set search_path = pg_catalog, vault, pg_temp as $$
    select s.told, max(coalesce(greatest(extract(epoch from clock_timestamp() - case s.told
        when 'events' then (select occurred_at from vault.audit_leaf l
            where (l.epoch, l.place) >= (s.epoch, s.next_place) order by l.epoch, l.place limit 1)
        else (select signed_at from vault.audit_checkpoint c
            where (c.epoch, c.size) >= (s.epoch, s.next_place) order by c.epoch, c.size limit 1)
    end), 0), 0))::float8
    from vault.audit_sink s group by s.told
$$
"""
