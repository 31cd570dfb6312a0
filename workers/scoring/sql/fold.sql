-- name: fold_contacts
-- Fold changes of single contacts: delete the feed's rows and enter their contacts into the backlog. If another
-- transaction has locked a contact's entry, its rows stay in the feed. `signals` are new signals, and requests for
-- alerts, that may open an alert.
with
-- include: pending_changes
,

subject as materialized (
    select organization_id, contact_id, min(source) as reason, min(at) as at
    from pending
    group by organization_id, contact_id
),

-- include: enter_backlog
,

folded as materialized (
    select pending.place, pending.organization_id, pending.activity_id
    from pending
    where not exists (
        select from passed_over
        where passed_over.organization_id = pending.organization_id and passed_over.contact_id = pending.contact_id
    )
),

removed as (
    delete from crm.contact_changes where ctid = any(array(select place from folded))
)

select (select count(*) from folded) as rows_read,
    (select count(*) from renewed) + (select count(*) from added) as rows_written,
    (
        select jsonb_agg(activity_id)
        from folded
        where activity_id is not null and (
            exists (
                select from scoring.signal_configs as config
                where config.organization_id = folded.organization_id and config.enabled and config.tier is not null
            )
            or exists (select from scoring.alert_requests as request where request.id = folded.activity_id)
        )
    ) as signals

-- name: fold_all_contacts
-- Expand a change of a whole organization: enter its next :rows contacts into the backlog. Contacts whose entry another
-- transaction has locked get a row of their own in the feed. `reached` is null after the last contact.
with contact as materialized (
    select organization_id, id as contact_id
    from crm.contacts
    where organization_id = :organization_id and id > :reached
    order by id
    limit :rows
),

subject as materialized (
    select organization_id, contact_id, 'config' as reason, cast(:at as timestamptz) as at from contact
),

-- include: enter_backlog
,

later as (
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, contact_id, 'config' from passed_over
)

select count(*) as rows_read,
    case when count(*) = cast(:rows as bigint) then (array_agg(contact_id order by contact_id desc))[1] end as reached
from contact

-- name: fold_signal_contacts
-- The same for the contacts with a signal of a type: those among the next :rows signals of the organization, of any
-- type.
with range as materialized (
    select contact_id as until
    from scoring.intent_signals
    where organization_id = :organization_id and contact_id > :reached
    order by contact_id
    offset :rows - 1
    limit 1
),

contact as materialized (
    select distinct organization_id, contact_id
    from scoring.intent_signals
    where organization_id = :organization_id and contact_id > :reached and signal_type = :name
        and contact_id <= coalesce((select until from range), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
),

subject as materialized (
    select organization_id, contact_id, 'config' as reason, cast(:at as timestamptz) as at from contact
),

-- include: enter_backlog
,

later as (
    insert into crm.contact_changes (consumer, organization_id, contact_id, source)
    select 'scoring', organization_id, contact_id, 'config' from passed_over
)

select count(*) as rows_read, (select until from range) as reached
from contact

-- name: expire_due_alerts
-- Expire the open alerts of the contacts and types of these signals whose deadline has passed; the signals are
-- considered only after that.
update scoring.signal_alerts as alert set status = 'expired', expired_at = alert.deadline
where alert.ctid = any(array(
    select alert.ctid
    from (
        select organization_id, contact_id, signal_type
        from scoring.intent_signals
        where id = any(cast(:signals as uuid[]))
        union
        select organization_id, contact_id, signal_type
        from scoring.alert_requests
        where id = any(cast(:signals as uuid[]))
    ) as signal
    cross join lateral (
        select ctid
        from scoring.signal_alerts as alert
        where alert.organization_id = signal.organization_id and alert.contact_id = signal.contact_id
            and alert.signal_type = signal.signal_type and alert.status = 'open'
            and alert.deadline <= cast(:t as timestamptz)
        for update skip locked
    ) as alert
))

-- name: open_alerts
-- Open an alert for each contact and type of these signals and requests, unless one is open. The newest counts, and the
-- deadline is relative to its detection; no alert is opened after its deadline. If a due alert is locked by another
-- transaction, the signal goes back to the feed.
with considered as materialized (
    select signal.*,
        exists (
            select from scoring.signal_alerts as alert
            where alert.organization_id = signal.organization_id and alert.contact_id = signal.contact_id
                and alert.signal_type = signal.signal_type and alert.status = 'open'
                and alert.deadline <= cast(:t as timestamptz)
        ) as has_to_wait
    from (
        select gen_random_uuid() as id, signal.id as activity_id, signal.organization_id, signal.contact_id,
            signal.signal_type, config.tier as priority, signal.detected_at as opened_at
        from scoring.intent_signals as signal
        join scoring.signal_configs as config using (organization_id, signal_type)
        where signal.id = any(cast(:signals as uuid[])) and config.enabled and config.tier is not null
        union all
        select id, id, organization_id, contact_id, signal_type, priority, opened_at
        from scoring.alert_requests
        where id = any(cast(:signals as uuid[]))
    ) as signal
),

postponed as (
    insert into crm.contact_changes (consumer, organization_id, contact_id, source, name, activity_id)
    select 'scoring', organization_id, contact_id, 'signal', signal_type, activity_id
    from considered
    where has_to_wait
),

answered as (
    delete from scoring.alert_requests
    where id in (select activity_id from considered where not has_to_wait)
),

newest as (
    select distinct on (organization_id, contact_id, signal_type) *
    from considered
    where not has_to_wait
    order by organization_id, contact_id, signal_type, opened_at desc, id
)

insert into scoring.signal_alerts (id, organization_id, contact_id, signal_type, priority, deadline, created_at)
select id, organization_id, contact_id, signal_type, priority, opened_at + scoring.alert_sla(priority), opened_at
from newest
where opened_at + scoring.alert_sla(priority) > cast(:t as timestamptz)
order by organization_id, contact_id, signal_type
on conflict (organization_id, contact_id, signal_type) where status = 'open' do nothing
