-- name: load_events
-- One event in each hour, each of another contact.
insert into analytics.contact_activity (organization_id, contact_id, event_type, occurred_at, created_at)
select :organization, gen_random_uuid(), 'page_visited', hour + interval '10 minutes', hour + interval '10 minutes'
from unnest(cast(:hours as timestamptz[])) as one (hour)

-- name: load_contacts
insert into crm.contacts (id, organization_id, email)
select id, :organization, id || '@example.test' from unnest(cast(:contacts as uuid[])) as one (id)

-- name: load_trouble
-- Writing one of these keys fails, with the given probability.
create table bench.troubles (key text primary key, code text, odds double precision);
create function bench.trouble() returns trigger language plpgsql as $$
declare
    trouble bench.troubles;
begin
    select * into trouble from bench.troubles where key = to_jsonb(new) ->> tg_argv[0];
    if found and random() < trouble.odds then
        raise exception 'trouble' using errcode = trouble.code;
    end if;
    return new;
end $$;
create trigger trouble before insert on analytics.hourly_cells for each row execute function bench.trouble('hour');
create trigger trouble before insert on scoring.lead_scores for each row execute function bench.trouble('contact_id')

-- name: load_troubles
insert into bench.troubles
select * from unnest(cast(:keys as text[]), cast(:codes as text[]), cast(:odds as double precision[]))
