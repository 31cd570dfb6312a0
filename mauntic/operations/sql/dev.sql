-- name: dev_database
-- A number that identifies the database: another database with the same address and name has another number.
select oid from pg_database where datname = current_database()
