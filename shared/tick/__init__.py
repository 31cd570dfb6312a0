"""A tick of the cron: due windows, their messages, and upkeep."""
