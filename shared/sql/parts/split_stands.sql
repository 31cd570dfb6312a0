-- Whether the row is a window with a valid split: its shards have rows with their bounds.
(
    run.shard = '' and run.status in ('sharded', 'dead') and exists (
        select 1 from ops.job_runs as part
        where part.job_type = run.job_type and part.window_start = run.window_start
            and part.window_end = run.window_end and part.shard <> ''
            and cast(part.shard_data ->> 'run' as bigint) = run.fencing_token
    )
)
