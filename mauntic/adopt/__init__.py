"""Bring the platform's existing database to the schema that the migrations make, in place.

    catalogue   what is there, and what should be
    kinds       what is no plain table blocks everything
    shape       columns: missing ones, types, empty values, defaults
    rows        rows that are in the way of a key or a check: merged, set aside, tidied
    keys        keys, checks, indexes, and whatever else is missing
    run         the phases in order: planned, or taken

Nothing holds a lock for longer than a moment, nothing is deleted without a copy, and every phase
looks at what is there now: an interrupted adoption is simply taken up again.
"""
