"""Functions of the database that count: slots of quotas that all processes share, and distinct cards of somebody.

They refuse to know what is limited. Invariants: in no stretch of time as long as a window are more slots given than its
quota; who counts the same waits for the other; a count is durable within a second, and nobody waits for the disk.
"""

from typing import Final

# A window is cut into 30 slices. Slots are given for the slice that runs, and counted as long as any moment of it can
# be in a window with the present one: for it and the 30 slices before. `fresh` is when the first slice that they were
# given for ends, in seconds; `waits` when another slot is free in each window, or the first that was taken leaves it.
TAKE_SLOTS: Final = """
create function vault.take_slots(
    the_merchant text, the_subject text, the_name text, the_spans int[], the_quotas int[],
    wanted int, unused int, unused_slices bigint[],
    out granted int, out remaining int[], out waits float8[], out current_slices bigint[], out fresh float8
) language plpgsql as $$
declare
    windows constant int := cardinality(the_spans);
    held vault.rate_counter;
    at float8;
    step float8;
    slice bigint;
    place int;
    free int;
    missing int;
begin
    if wanted > 0 then
        perform set_config('synchronous_commit', 'off', true);
        insert into vault.rate_counter (merchant_id, subject, name, spans, slices, totals, taken)
        values (the_merchant, the_subject, the_name, the_spans, array_fill(0, array[windows]),
            array_fill(0, array[windows]), array_fill(0, array[31 * windows]))
        on conflict do nothing;
        select * into strict held from vault.rate_counter c
        where c.merchant_id = the_merchant and c.subject = the_subject and c.name = the_name for update;
    else
        select * into held from vault.rate_counter c
        where c.merchant_id = the_merchant and c.subject = the_subject and c.name = the_name;
    end if;
    if held.spans is distinct from the_spans then
        held.slices := array_fill(0, array[windows]);
        held.totals := array_fill(0, array[windows]);
        held.taken := array_fill(0, array[31 * windows]);
    end if;
    at := extract(epoch from clock_timestamp());
    fresh := 'infinity';
    for i in 1 .. windows loop
        step := the_spans[i] / 30.0;
        slice := greatest(floor(at / step)::bigint, held.slices[i]);
        for ahead in 1 .. least(slice - held.slices[i], 31) loop
            place := 31 * (i - 1) + ((held.slices[i] + ahead) % 31)::int + 1;
            held.totals[i] := held.totals[i] - held.taken[place];
            held.taken[place] := 0;
        end loop;
        held.slices[i] := slice;
        if unused > 0 and unused_slices[i] between slice - 30 and slice then
            place := 31 * (i - 1) + (unused_slices[i] % 31)::int + 1;
            held.totals[i] := held.totals[i] - least(unused, held.taken[place]);
            held.taken[place] := held.taken[place] - least(unused, held.taken[place]);
        end if;
        free := least(free, the_quotas[i] - held.totals[i]);
        fresh := least(fresh, (slice + 1) * step - at);
    end loop;
    granted := greatest(least(wanted, free, greatest(1, free / 8)), 0);
    for i in 1 .. windows loop
        place := 31 * (i - 1) + (held.slices[i] % 31)::int + 1;
        held.taken[place] := held.taken[place] + granted;
        held.totals[i] := held.totals[i] + granted;
        remaining[i] := greatest(the_quotas[i] - held.totals[i], 0);
        waits[i] := 0;
        missing := greatest(held.totals[i] - the_quotas[i] + 1, 1);
        step := the_spans[i] / 30.0;
        for age in reverse 30 .. 0 loop
            exit when held.totals[i] = 0;
            slice := held.slices[i] - age;
            missing := missing - held.taken[31 * (i - 1) + (slice % 31)::int + 1];
            waits[i] := (slice + 31) * step - at;
            exit when missing <= 0;
        end loop;
    end loop;
    current_slices := held.slices;
    if granted > 0 or unused > 0 then
        update vault.rate_counter c
        set spans = the_spans, slices = held.slices, totals = held.totals, taken = held.taken,
            touched_at = clock_timestamp()
        where c.merchant_id = the_merchant and c.subject = the_subject and c.name = the_name;
    end if;
end
$$
"""

# `seen` is the number of distinct cards within the span, this one included where it was noted; it is not noted, and
# `wait` says for how many seconds, where there were already as many as may be.
NOTE_CARD: Final = """
create function vault.note_card(
    the_merchant text, the_subject text, the_print bytea, the_span int, most int,
    out seen int, out known boolean, out wait float8
) language plpgsql as $$
declare
    oldest timestamptz;
begin
    perform set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock(hashtextextended(the_merchant || the_subject, 0));
    select count(*), coalesce(bool_or(s.print = the_print), false), min(s.seen_at) into seen, known, oldest
    from vault.card_sighting s
    where s.merchant_id = the_merchant and s.subject = the_subject
        and s.seen_at > clock_timestamp() - make_interval(secs => the_span);
    if not known and seen < most then
        insert into vault.card_sighting as s (merchant_id, subject, print)
        values (the_merchant, the_subject, the_print)
        on conflict (merchant_id, subject, print) do update set seen_at = excluded.seen_at;
        seen := seen + 1;
    elsif not known then
        wait := extract(epoch from oldest - clock_timestamp()) + the_span;
    end if;
end
$$
"""
