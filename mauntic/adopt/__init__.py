"""Change the platform's existing database in place to the schema that the migrations make.

    catalogue   the existing and the target schema
    kinds       objects that are no plain tables and block the adoption
    shape       columns: missing ones, types, empty values, defaults
    rows        rows that violate a key or a check: merged, set aside, corrected
    keys        keys, checks, indexes, and other missing objects
    run         the phases in order: planned or executed

No step holds a lock for long, no row is deleted without a copy, and every phase reads the current
state: an interrupted adoption continues when it is started again.
"""
