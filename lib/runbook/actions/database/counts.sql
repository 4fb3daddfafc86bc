-- One line of JSON: every table with its number of rows and a checksum that does not depend on their order, the revision,
-- how far the sequences are, and how many objects of each kind there are. Texts of values must not depend on the session.
set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; set bytea_output = 'hex'; set extra_float_digits = 1;
set xmlbinary = 'base64'; set lc_monetary = 'C'; set search_path = pg_catalog, public;
select jsonb_build_object(
  'database', current_database(),
  'server_version', split_part(current_setting('server_version'), ' ', 1),
  'database_bytes', pg_database_size(current_database()),
  'revision', case when to_regclass('public.alembic_version') is not null then
    (xpath('/row/r/text()', query_to_xml('select string_agg(version_num, '','' order by version_num) as r from public.alembic_version', false, true, '')))[1]::text end,
  'sequences', (select coalesce(jsonb_object_agg(format('%I.%I', schemaname, sequencename), last_value), '{}') from pg_sequences where last_value is not null),
  'objects', (select jsonb_object_agg(kind, n) from (
      select case relkind when 'i' then 'indexes' when 'I' then 'indexes' when 'v' then 'views' when 'm' then 'views' when 'S' then 'sequences' else 'tables' end as kind, count(*) as n
        from pg_class c join pg_namespace s on s.oid = c.relnamespace where s.nspname !~ '^(pg_|information_schema$)' and relkind in ('r', 'p', 'i', 'I', 'v', 'm', 'S') group by 1
      union all select 'constraints', count(*) from pg_constraint c join pg_namespace s on s.oid = c.connamespace where s.nspname !~ '^(pg_|information_schema$)'
      union all select 'functions', count(*) from pg_proc p join pg_namespace s on s.oid = p.pronamespace where s.nspname !~ '^(pg_|information_schema$)'
      union all select 'triggers', count(*) from pg_trigger where not tgisinternal
      union all select 'large objects', count(*) from pg_largeobject_metadata) kinds),
  'tables', (select coalesce(jsonb_object_agg(name, jsonb_build_object('rows', (xpath('/row/n/text()', found))[1]::text::bigint, 'checksum', (xpath('/row/s/text()', found))[1]::text)), '{}') from (
      select format('%I.%I', s.nspname, c.relname) as name,
        query_to_xml(format('select count(*) as n, coalesce(sum((''x'' || substr(md5(runbook_row::text), 1, 15))::bit(60)::bigint), 0) as s from only %I.%I as runbook_row', s.nspname, c.relname), false, true, '') as found
      from pg_class c join pg_namespace s on s.oid = c.relnamespace
      where c.relkind = 'r' and c.relpersistence <> 't' and s.nspname !~ '^(pg_|information_schema$)'
        and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')) listed)
)::text;
