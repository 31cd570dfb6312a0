-- What adoption decides about rows. `keep` orders equals: the first one stays. `key` says by what
-- they are equal where the key's columns alone do not. `fill` is for a column that may not be empty.
-- A table without a rule keeps its newest row by updated_at, then created_at.

-- name: keep__analytics__event_aggregates
-- The old scheduler added on every retry, so neither row is to be trusted: the newest stays as a
-- stand-in until its day is booked again from the events.
updated_at desc nulls last

-- name: keep__analytics__campaign_daily_stats
updated_at desc nulls last

-- name: keep__analytics__contact_activity
-- The first delivery of an event is the event.
created_at nulls last

-- name: keep__delivery__sending_domains
-- Verified before anything else: mail must go on. Then the one that is known longest.
lower(btrim(status::text)) is not distinct from 'verified' desc, created_at nulls last, id

-- name: key__delivery__sending_domains__domain
-- Names of domains are equal whatever their case.
lower(btrim(domain))

-- name: keep__crm__contacts
-- The newest version of a contact.
updated_at desc nulls last, last_activity_at desc nulls last

-- name: fill__analytics__contact_activity__created_at
-- Unknown when it was ingested: as good as at once.
occurred_at

-- name: fill__analytics__contact_activity__occurred_at
created_at

-- name: fill__analytics__event_aggregates__count
0

-- name: fill__analytics__event_aggregates__unique_count
0

-- name: fill__delivery__sending_domains__status
'pending'

-- name: fill__crm__contacts__created_at
coalesce(updated_at, now())

-- name: fill__crm__contacts__updated_at
coalesce(created_at, now())

-- name: untidy__delivery__sending_domains
domain is distinct from lower(btrim(domain)) or status is distinct from lower(btrim(status::text))

-- name: tidy__delivery__sending_domains
domain = lower(btrim(domain)), status = lower(btrim(status::text))

-- name: untidy__crm__contacts
status is distinct from lower(btrim(status::text))

-- name: tidy__crm__contacts
status = lower(btrim(status::text))

-- name: untidy__analytics__event_aggregates
-- More distinct contacts than events cannot be; nor fewer than no events.
count < 0 or unique_count < 0 or unique_count > greatest(count, 0)

-- name: tidy__analytics__event_aggregates
count = greatest(count, 0), unique_count = greatest(least(unique_count, count), 0)

-- name: activity__same_row
-- Equal in everything but the time of ingestion: one event that was stored twice.
id, organization_id, contact_id, event_type, event_source, event_data::jsonb, occurred_at, event_id

-- name: activity__same_event
-- Equal in the producer's key and in who, what and when: one event that was delivered twice.
organization_id, event_id, contact_id, event_type, occurred_at

-- name: activity__new_id
-- Different events under one id: all stay, the later ones under ids of their own.
id = gen_random_uuid()

-- name: activity__no_event_id
-- Different events under one key of the producer: all stay, the later ones without the key.
event_id = null
