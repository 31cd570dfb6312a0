-- name: missing_rights
-- The listed rights that a role does not have. A missing schema, table or sequence counts as lacking too. A role
-- without the right to use a schema cannot look up a name in it, so names are compared.
with relation as (
    select pg_class.oid, nspname || '.' || relname as name
    from pg_class
    join pg_namespace on pg_namespace.oid = pg_class.relnamespace
    where nspname = any(cast(:schemas as text[]))
),
routine as (
    select pg_proc.oid, nspname || '.' || proname || '(' || oidvectortypes(proargtypes) || ')' as name
    from pg_proc
    join pg_namespace on pg_namespace.oid = pg_proc.pronamespace
    where nspname = any(cast(:schemas as text[]))
)
select lacks
from (
    select 1 as kind, 'usage on schema ' || name as lacks, has_schema_privilege(:role, namespace.oid, 'usage') as has
    from unnest(cast(:schemas as text[])) as name
    left join pg_namespace as namespace on namespace.nspname = name
    union all
    select 2, verb || coalesce(' (' || wanted.column_name || ')', '') || ' on ' || wanted.name,
        case
            when wanted.column_name is null then has_table_privilege(:role, relation.oid, verb)
            else has_column_privilege(:role, relation.oid, wanted.column_name, verb)
        end
    from unnest(cast(:tables as text[]), cast(:rights as text[]), cast(:columns as text[]))
        as wanted (name, verb, column_name)
    left join relation on relation.name = wanted.name
    union all
    select 3, 'usage on sequence ' || wanted.name, has_sequence_privilege(:role, relation.oid, 'usage')
    from unnest(cast(:sequences as text[])) as wanted (name)
    left join relation on relation.name = wanted.name
    union all
    select 4, 'execute on function ' || wanted.name, has_function_privilege(:role, routine.oid, 'execute')
    from unnest(cast(:functions as text[])) as wanted (name)
    left join routine on routine.name = replace(wanted.name, 'timestamptz', 'timestamp with time zone')
) as wanted
where has is not true
order by kind, lacks

-- name: role_of_workers
-- The connected role, and its powers that a worker must not have.
select current_user as role, rolsuper as is_superuser, rolbypassrls as bypasses_policies,
    rolcreaterole as makes_roles, (
        select count(*)
        from pg_class as owned
        join pg_namespace as namespace on namespace.oid = owned.relnamespace
        where namespace.nspname = any(cast(:schemas as text[])) and pg_has_role(owned.relowner, 'member')
    ) as owned
from pg_roles
where rolname = current_user
