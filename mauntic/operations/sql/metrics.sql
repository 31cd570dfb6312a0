-- name: queue_metrics
-- For Analytics Engine, not for Postgres: the messages of the last :seconds seconds by queue and type, their outcomes
-- and durations. :queue is a queue's name, or % for all queues. A stored point represents `_sample_interval` points, so
-- counts are sums of it and quantiles are weighted by it. index1 is the queue; blob1 the event, blob3 the type, blob4
-- the status; double2 the duration.
select
    index1 as queue,
    blob3 as type,
    sum(_sample_interval) as messages,
    sum(if(blob4 = 'ack', _sample_interval, 0)) as done,
    sum(if(blob4 = 'retry', _sample_interval, 0)) as retries,
    sum(if(blob4 = 'dead', _sample_interval, 0)) as dead_letters,
    quantileExactWeighted(0.5)(double2, _sample_interval) as p50_ms,
    quantileExactWeighted(0.95)(double2, _sample_interval) as p95_ms
from mauntic_queue_metrics
where blob1 = 'queue.metric'
    and timestamp > now() - interval ':seconds' second
    and index1 like ':queue'
group by index1, blob3
order by index1, blob3
format json

-- name: verdict_metrics
-- For Analytics Engine: what providers answered in the last :seconds seconds. A point counts the messages of one call
-- with the same verdict and code (double1); double2 is the duration of the call.
select
    blob2 as channel,
    blob3 as provider,
    blob4 as verdict,
    blob5 as code,
    sum(double1 * _sample_interval) as messages,
    quantileExactWeighted(0.5)(double2, _sample_interval) as p50_ms,
    quantileExactWeighted(0.95)(double2, _sample_interval) as p95_ms
from mauntic_queue_metrics
where blob1 = 'delivery.verdict'
    and timestamp > now() - interval ':seconds' second
group by blob2, blob3, blob4, blob5
order by blob2, blob3, blob4, blob5
format json

-- name: gauge_metrics
-- For Analytics Engine: the newest value of each gauge of deliveries in the last :seconds seconds.
select
    blob2 as gauge,
    blob3 as channel,
    blob4 as state,
    argMax(double1, timestamp) as count,
    argMax(double2, timestamp) as age_s
from mauntic_queue_metrics
where blob1 = 'delivery.gauge'
    and timestamp > now() - interval ':seconds' second
group by blob2, blob3, blob4
order by blob2, blob3, blob4
format json
