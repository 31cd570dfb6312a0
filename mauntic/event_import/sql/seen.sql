-- The keys that a file has contained so far, in SQLite's temporary database on the disk: memory stays flat.

-- name: make_seen
create table seen (key blob primary key, content blob) without rowid

-- name: add_seen
insert into seen (key, content) values (:key, :content) on conflict do nothing

-- name: find_seen
select content from seen where key = :key
