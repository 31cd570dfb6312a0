    -- The UUID of a source in any spelling, or null. CASE keeps the planner from moving the cast before the check.
    case when event_source ~ '^(([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}|\{([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}\})$'
        then cast(event_source as uuid) end as campaign_id
