    -- Ingested after the end of its hour: exactly the condition of the index of late events.
    date_trunc('hour', occurred_at at time zone 'UTC') < date_trunc('hour', created_at at time zone 'UTC')
