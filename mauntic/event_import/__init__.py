"""Import historic events of other systems as rows of `analytics.contact_activity`.

The path of a row: `lines` reads numbered lines, `records` parses CSV or JSON, a format (`formats/`,
or a mapping file, `mapping`) finds the events of a record, `prepare` validates an event or refuses
it, `store` writes a batch. `run` is the loop; `recompute` lists the windows to run again.
"""
