-- name: dev_database
-- A number of the database itself: another one of the same name and place has another.
select oid from pg_database where datname = current_database()
