-- name: add_contacts
-- The contacts [:first, :until), each with the fields of fit, as frequent as in practice.
insert into crm.contacts (id, organization_id, email, phone, custom_fields)
select bench.identity(number, :world), slot.organization_id,
    case when bench.draw(number, :salt) < 0.9 then 'contact' || number || '@mail.example' end,
    case when bench.draw(number, :salt + 1) < 0.4 then '+49 30 ' || number end,
    jsonb_strip_nulls(jsonb_build_object(
        'company_size', (array['smb', 'mid', 'enterprise'])[1 + floor(bench.draw(number, :salt + 2) * 5)::integer],
        'seniority', (array['c_level', 'vp', 'director', 'manager'])[1 + floor(bench.draw(number, :salt + 3) * 8)::integer],
        'direct_phone', case when bench.draw(number, :salt + 4) < 0.2 then '+49 40 ' || number end
    ))
from generate_series(cast(:first as bigint), cast(:until as bigint) - 1) as number
join bench.slots as slot on slot.slot = floor(bench.draw(number, :world + 2) * 10000)::integer

-- name: add_signals
-- The signals [:first, :until) of :contacts contacts, in the :span_h hours before :end. Most have their type's weight
-- and the usual decay; two thirds decay in steps.
insert into scoring.intent_signals (
    organization_id, contact_id, signal_type, source, weight, detected_at, decay_model, decay_hours, expires_at
)
select slot.organization_id, bench.identity(signal.contact, :world), signal.signal_type, 'website', signal.weight,
    signal.detected_at, signal.decay_model, signal.decay_hours,
    case when signal.expires then signal.detected_at + interval '5 days' end
from (
    select floor(bench.draw(number, :salt) * :contacts)::bigint as contact,
        (array[
            'PRICING_PAGE', 'DEMO_REQUEST', 'FREE_TRIAL', 'CONTACT_REQUEST', 'COMPETITOR_COMPARISON', 'CASE_STUDY_VIEW',
            'FORM_SUBMISSION', 'CONTENT_DOWNLOAD', 'EMAIL_CLICK', 'WEBSITE_VISIT', 'EMAIL_OPEN', 'PROFILE_UPDATE'
        ])[1 + floor(bench.draw(number, :salt + 1) * 12)::integer] as signal_type,
        case when bench.draw(number, :salt + 2) < 0.2
            then round((1 + bench.draw(number, :salt + 3) * 30)::numeric, 2) end as weight,
        cast(:end as timestamptz) - bench.draw(number, :salt + 4) * :span_h * interval '1 hour' as detected_at,
        (array['step', 'step', 'step', 'step', 'linear', 'exponential'])[
            1 + floor(bench.draw(number, :salt + 5) * 6)::integer
        ] as decay_model,
        case when bench.draw(number, :salt + 6) < 0.2
            then 24 * (1 + floor(bench.draw(number, :salt + 7) * 30)::integer) end as decay_hours,
        bench.draw(number, :salt + 8) < 0.05 as expires
    from generate_series(cast(:first as bigint), cast(:until as bigint) - 1) as number
) as signal
join bench.slots as slot on slot.slot = floor(bench.draw(signal.contact, :world + 2) * 10000)::integer
order by signal.detected_at -- in the order of their arrival

-- name: add_visits
-- The activity of :contacts contacts in the :span_h hours before :end, most of it by a few of them.
insert into analytics.contact_activity (organization_id, contact_id, event_type, occurred_at, created_at)
select slot.organization_id, bench.identity(visit.contact, :world), visit.event_type, visit.occurred_at, visit.occurred_at
from (
    select floor(power(bench.draw(number, :salt), 3) * :contacts)::bigint as contact,
        (array['email_opened', 'email_opened', 'email_clicked', 'page_visited', 'form_submitted', 'content_download'])[
            1 + floor(bench.draw(number, :salt + 1) * 6)::integer
        ] as event_type,
        cast(:end as timestamptz) - bench.draw(number, :salt + 2) * :span_h * interval '1 hour' as occurred_at
    from generate_series(cast(:first as bigint), cast(:until as bigint) - 1) as number
) as visit
join bench.slots as slot on slot.slot = floor(bench.draw(visit.contact, :world + 2) * 10000)::integer
order by visit.occurred_at

-- name: add_alerts
-- The alerts [:first, :until): the first :due of them open and due at :end, then twenty times as many open and not due;
-- all others were closed long ago.
insert into scoring.signal_alerts (
    id, organization_id, contact_id, signal_type, priority, deadline, status, acknowledged_at, expired_at, created_at
)
select bench.identity(number, :salt), bench.identity(number % 200, :salt + 2), bench.identity(number / 3, :salt + 4),
    'PRICING_PAGE', 'low', moment.deadline, moment.status,
    case when moment.status = 'acknowledged' then moment.deadline - interval '1 hour' end,
    case when moment.status = 'expired' then moment.deadline end,
    moment.deadline - interval '72 hours'
from generate_series(cast(:first as bigint), cast(:until as bigint) - 1) as number
cross join lateral (
    select
        case when number < :due * 21 then 'open' when number % 3 = 0 then 'acknowledged' else 'expired' end as status,
        cast(:end as timestamptz) + interval '1 hour' * bench.draw(number, :salt + 6)
            * case when number < :due then -0.25 when number < :due * 21 then 72 else -10000 end as deadline
) as moment
