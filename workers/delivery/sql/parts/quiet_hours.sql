-- The end of the quiet hours that the recipient is in; null: it is in none.
left join lateral (
    select greatest(
        (
            cast(clock.local as date) + settings.quiet_until
            + case
                when settings.quiet_from > settings.quiet_until and cast(clock.local as time) >= settings.quiet_from
                    then interval '1 day'
                else interval '0 days'
            end
        ) at time zone clock.zone,
        cast(:now as timestamptz) + interval '1 minute'
    ) as until
    from (
        select own.zone, cast(:now as timestamptz) at time zone own.zone as local
        from (select coalesce(contact.time_zone, settings.time_zone, 'UTC') as zone) as own
    ) as clock
    where case
        when settings.quiet_from < settings.quiet_until
            then cast(clock.local as time) >= settings.quiet_from and cast(clock.local as time) < settings.quiet_until
        when settings.quiet_from > settings.quiet_until
            then cast(clock.local as time) >= settings.quiet_from or cast(clock.local as time) < settings.quiet_until
        else false
    end
) as quiet on true
