-- migrate:up
-- What the reports of days and months need: their rows found by date, and turns at a day.

-- The keys of these tables begin with campaign and organisation; the jobs come with dates.
create index campaign_daily_stats_date on analytics.campaign_daily_stats (date, organization_id);
create index event_aggregates_date on analytics.event_aggregates (date, organization_id);

drop table analytics.booked_days;
create table analytics.locked_days (
    job_type text not null,
    date date not null,
    shared_by text,
    primary key (job_type, date)
);
comment on table analytics.locked_days is 'One row a job and day, locked by whoever writes the rows of that day: runs of one day go one after the other.';
comment on column analytics.locked_days.shared_by is 'The window that was split last: its shards, which have no row in common, may write the day together.';
