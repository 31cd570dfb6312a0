    -- The UUID that a source is, in any of its spellings, if it is one. Inside CASE, where no planner
    -- can move the cast before the look.
    case when event_source ~ '^(([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}|\{([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}\})$'
        then cast(event_source as uuid) end as campaign_id
