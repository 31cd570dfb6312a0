-- name: missing_rights
-- The rights of the list that a role does not have. A schema, table or sequence that is not there is
-- lacking too.
select lacks
from (
    select 1 as kind, 'usage on schema ' || name as lacks, has_schema_privilege(:role, namespace.oid, 'usage') as has
    from unnest(cast(:schemas as text[])) as name
    left join pg_namespace as namespace on namespace.nspname = name
    union all
    select 2, verb || ' on ' || name, has_table_privilege(:role, to_regclass(name), verb)
    from unnest(cast(:tables as text[]), cast(:rights as text[])) as wanted (name, verb)
    union all
    select 3, 'usage on sequence ' || name, has_sequence_privilege(:role, to_regclass(name), 'usage')
    from unnest(cast(:sequences as text[])) as name
) as wanted
where has is not true
order by kind, lacks

-- name: role_of_workers
-- Who is connected, and what it has that a worker must not have.
select current_user as role, rolsuper as is_superuser, rolbypassrls as bypasses_policies,
    rolcreaterole as makes_roles, (
        select count(*)
        from pg_class as owned
        join pg_namespace as namespace on namespace.oid = owned.relnamespace
        where namespace.nspname = any(cast(:schemas as text[])) and pg_has_role(owned.relowner, 'member')
    ) as owned
from pg_roles
where rolname = current_user
