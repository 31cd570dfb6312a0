-- name: has_changes
-- Whether the feed has rows for this consumer.
select exists (select from crm.contact_changes where consumer = :consumer) as found

-- name: feed_state
-- The number of a consumer's rows, counted up to :most, and the time of the oldest.
select count(*) as count, min(at) as oldest_at
from (select at from crm.contact_changes where consumer = :consumer limit cast(:most as bigint)) as waiting

-- name: middle_change
-- The middle of the contacts with changes in a range, to split the range there. No row: there are fewer than two.
select organization_id, contact_id
from (
    select organization_id, contact_id, ntile(2) over (order by organization_id, contact_id) as half
    from (
        select distinct organization_id, contact_id
        from crm.contact_changes
        where consumer = :consumer and contact_id is not null
            and (organization_id, contact_id) >= (cast(:first_organization as uuid), cast(:first_contact as uuid))
            and (
                cast(:until_organization as uuid) is null
                or (organization_id, contact_id) < (cast(:until_organization as uuid), cast(:until_contact as uuid))
            )
        order by organization_id, contact_id
        limit :rows_max
    ) as waiting
) as contact
where half = 2
order by organization_id, contact_id
limit 1

-- name: drop_superseded
-- Of several changes of one setting whose expansion has not begun, the newest replaces the others.
delete from crm.contact_changes
where ctid = any(array(
    select older.ctid
    from crm.contact_changes as older
    where older.consumer = :consumer and older.contact_id is null
        and not exists (select from crm.expanded_changes where change_id = older.id)
        and exists (
            select from crm.contact_changes as newer
            where newer.consumer = :consumer and newer.contact_id is null and newer.id > older.id
                and newer.organization_id = older.organization_id and newer.source = older.source
                and newer.name is not distinct from older.name
                and not exists (select from crm.expanded_changes where change_id = newer.id)
        )
    for update of older skip locked
))

-- name: next_whole_change
-- The change of a whole organization that has waited longest for its next range of contacts.
select change.id, change.organization_id, change.source, change.name, change.at,
    coalesce(progress.reached, '00000000-0000-0000-0000-000000000000') as reached
from crm.contact_changes as change
left join crm.expanded_changes as progress on progress.change_id = change.id
where change.consumer = :consumer and change.contact_id is null
order by coalesce(progress.expanded_at, change.at), change.id
limit 1
for update of change skip locked

-- name: keep_progress
-- Record that a change of a whole organization is expanded up to this contact.
insert into crm.expanded_changes (change_id, reached, expanded_at) values (:id, :reached, clock_timestamp())
on conflict (change_id) do update set reached = excluded.reached, expanded_at = excluded.expanded_at

-- name: end_whole_change
-- The last range of a change is expanded.
with progress as (delete from crm.expanded_changes where change_id = :id)
delete from crm.contact_changes where id = :id

-- name: note_contacts
-- Append a change of each contact to the feed.
insert into crm.contact_changes (consumer, organization_id, contact_id, source, name)
select :consumer, organization_id, contact_id, :source, :name
from unnest(cast(:organization_ids as uuid[]), cast(:contact_ids as uuid[])) as contact (organization_id, contact_id)

-- name: set_patience
-- Set the lock timeout until the end of the transaction; return the previous one.
select current_setting('lock_timeout') as was, set_config('lock_timeout', :patience, true) as became
