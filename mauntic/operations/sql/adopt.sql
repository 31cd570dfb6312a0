-- name: adopt_columns
-- Every column of every table outside the system's schemas, with quoted names for use in SQL.
select format('%I.%I', schema.nspname, tbl.relname) as table_name,
    format('%I', col.attname) as name,
    format_type(col.atttypid, col.atttypmod) as type,
    col.attnotnull as not_null,
    pg_get_expr(def.adbin, def.adrelid) as default_value,
    col.attidentity <> '' or col.attgenerated <> '' as is_made
from pg_attribute as col
join pg_class as tbl on tbl.oid = col.attrelid and tbl.relkind in ('r', 'p') and not tbl.relispartition
join pg_namespace as schema on schema.oid = tbl.relnamespace
left join pg_attrdef as def on def.adrelid = col.attrelid and def.adnum = col.attnum
where col.attnum > 0 and not col.attisdropped
    and schema.nspname <> 'information_schema' and schema.nspname not like 'pg\_%'
order by tbl.oid, col.attnum

-- name: adopt_indexes
-- Every index with its columns: uniqueness, primary key, constraint. With a :table_name those of this table alone.
select format('%I.%I', schema.nspname, tbl.relname) as table_name,
    format('%I', idx.relname) as name,
    format('%I.%I', schema.nspname, idx.relname) as full_name,
    pg_get_indexdef(idx.oid) as definition,
    entry.indisunique as is_unique, entry.indisprimary as is_primary, entry.indisvalid as is_valid,
    constr.oid is not null as is_constraint,
    pg_get_expr(entry.indpred, entry.indrelid) as predicate,
    array(
        select pg_get_indexdef(idx.oid, place::integer, true)
        from generate_series(1, entry.indnkeyatts) as place
        order by place
    ) as keys,
    array(
        select format('%I', col.attname)
        from pg_depend as dependence
        join pg_attribute as col on col.attrelid = entry.indrelid and col.attnum = dependence.refobjsubid
        where dependence.classid = 'pg_class'::regclass
            and (dependence.objid = idx.oid or dependence.objid = constr.oid)
            and dependence.refclassid = 'pg_class'::regclass and dependence.refobjid = tbl.oid
        union
        select format('%I', col.attname)
        from pg_attribute as col
        where col.attrelid = entry.indrelid and col.attnum = any(entry.indkey)
    ) as columns
from pg_index as entry
join pg_class as idx on idx.oid = entry.indexrelid
join pg_class as tbl on tbl.oid = entry.indrelid
join pg_namespace as schema on schema.oid = tbl.relnamespace
left join pg_constraint as constr on constr.conindid = idx.oid and constr.conrelid = tbl.oid
    and constr.contype in ('p', 'u', 'x')
where schema.nspname <> 'information_schema' and schema.nspname not like 'pg\_%'
    and (cast(:table_name as text) is null or tbl.oid = to_regclass(:table_name))
order by tbl.oid, idx.oid

-- name: adopt_checks
-- Every check of every table, without the mark of an unvalidated one.
select format('%I.%I', schema.nspname, tbl.relname) as table_name,
    format('%I', constr.conname) as name,
    regexp_replace(pg_get_constraintdef(constr.oid), ' NOT VALID$', '') as definition,
    constr.convalidated as is_valid
from pg_constraint as constr
join pg_class as tbl on tbl.oid = constr.conrelid
join pg_namespace as schema on schema.oid = tbl.relnamespace
where constr.contype = 'c' and schema.nspname <> 'information_schema' and schema.nspname not like 'pg\_%'
order by tbl.oid, constr.conname

-- name: adopt_views
-- The views that read a column: its type cannot change while they exist.
select distinct format('%I.%I', schema.nspname, view.relname) as view_name
from pg_depend as dependence
join pg_rewrite as rule on rule.oid = dependence.objid and dependence.classid = 'pg_rewrite'::regclass
join pg_class as view on view.oid = rule.ev_class
join pg_namespace as schema on schema.oid = view.relnamespace
join pg_attribute as col on col.attrelid = dependence.refobjid and col.attnum = dependence.refobjsubid
where dependence.refobjid = cast(:table_name as regclass) and format('%I', col.attname) = :column_name

-- name: adopt_pages
-- The number of pages of a table, for a walk in portions.
select pg_relation_size(cast(:table_name as regclass)) / current_setting('block_size')::bigint as pages

-- name: adopt_can_try
-- Whether this Postgres can check that a type refuses a value: from version 16 on.
select to_regproc('pg_input_is_valid') is not null as can_try

-- name: adopt_has_table
select to_regclass(:table_name) is not null as is_there

-- name: adopt_kinds
-- The object of each name, and its owner.
select format('%I.%I', schema.nspname, found.relname) as name,
    cast(found.relkind as text) as kind,
    found.relispartition as is_partition,
    found.reloftype <> 0 as is_typed,
    parent.oid is not null as has_parent,
    cast(parent.oid as regclass)::text as parent,
    exists (select from pg_inherits as child where child.inhparent = found.oid) as has_children,
    pg_get_userbyid(found.relowner) as owner,
    pg_has_role(found.relowner, 'usage') as is_ours
from pg_class as found
join pg_namespace as schema on schema.oid = found.relnamespace
left join lateral (
    select inherits.inhparent as oid
    from pg_inherits as inherits
    where inherits.inhrelid = found.oid
    order by inherits.inhseqno
    limit 1
) as parent on true
where format('%I.%I', schema.nspname, found.relname) = any(cast(:names as text[]))
order by 1
