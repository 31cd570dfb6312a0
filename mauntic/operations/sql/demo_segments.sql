-- name: demo_segments
-- Dynamic segments of an organization.
insert into crm.segments (id, organization_id, name, type, filter_criteria)
select id, cast(:organization_id as uuid), name, 'dynamic', criteria
from jsonb_to_recordset(cast(:segments as jsonb)) as given (id uuid, name text, criteria jsonb)

-- name: demo_unbuilt_segments
-- How many of the segments are not built; an invalid one stays unbuilt.
select count(*) as segments
from crm.segments
where id = any(cast(:segment_ids as uuid[])) and state <> 'ready'

-- name: demo_segment_members
-- The members of each segment, and their stored number.
select segment.id, segment.contact_count, coalesce(json_agg(member.contact_id), '[]') as members
from crm.segments as segment
left join crm.segment_contacts as member on member.segment_id = segment.id
where segment.id = any(cast(:segment_ids as uuid[]))
group by segment.id
