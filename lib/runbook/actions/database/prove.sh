# Compare a restored database with the manifest of the dump, every table's rows and checksum; where they are equal, mark it as proven.
# Without a manifest there is nothing to compare with: what was found is told, table by table.
# Arguments: container, role, database, SHA-256 of the dump, counts.sql, manifest ("" for none), then every table that must be there
set -euo pipefail
exec </dev/null
container=$1 role=$2 new=$3 sum=$4 counts=$5 manifest=$6
shift 6
wanted=$*
if [ "$sum" = beside ]; then sum=$(head -c 64 "${manifest%.manifest.json}.sha256"); fi
run() { docker exec -i -e 'PGOPTIONS=-c statement_timeout=0 -c lock_timeout=0' -e PGAPPNAME=runbook-prove "$container" psql -qAtX -v ON_ERROR_STOP=1 -v new="$new" -v sum="$sum" -v wanted="$wanted" -U "$role" -d "$1"; }
found=$(printf '%s\n' "$counts" | run "$new")
if [ -n "$manifest" ]; then kept=$(tr -d '\n' < "$manifest"); else kept=null; fi
{
  cat <<'SQL'
create temp table runbook_said (is_kept boolean, said jsonb);
copy runbook_said from stdin (format csv, delimiter E'\x02', quote E'\x01');
SQL
  printf 'f\002%s\nt\002%s\n\\.\n' "$found" "$kept"
  cat <<'SQL'
create temp view runbook_found as select key as name, value->>'rows' as n, value->>'checksum' as s from runbook_said, jsonb_each(said->'tables') where not is_kept;
create temp view runbook_kept as select key as name, value->>'rows' as n, value->>'checksum' as s from runbook_said, jsonb_each(said->'content'->'tables') where is_kept and jsonb_typeof(said) = 'object';
create temp table runbook_wrong as
  select format('%s: the manifest has %s rows (checksum %s), restored were %s (%s)', coalesce(k.name, f.name), coalesce(k.n, 'no'), k.s, coalesce(f.n, 'no'), f.s) as what
    from runbook_kept k full join runbook_found f on k.name = f.name
    where exists (select from runbook_kept) and (k.n, k.s) is distinct from (f.n, f.s)
  union all select format('revision: the manifest has %s, restored was %s', k.said->'content'->>'revision', f.said->>'revision') from runbook_said k, runbook_said f
    where k.is_kept and not f.is_kept and jsonb_typeof(k.said) = 'object' and k.said->'content'->>'revision' is distinct from f.said->>'revision'
  union all select format('sequence %s: the manifest has %s, restored was %s', key, value, f.said->'sequences'->>key) from runbook_said k, runbook_said f, jsonb_each_text(k.said->'sequences')
    where k.is_kept and not f.is_kept and jsonb_typeof(k.said) = 'object' and coalesce((f.said->'sequences'->>key)::numeric, -1) < value::numeric
  union all select format('objects: the manifest has %s, restored were %s', k.said->'content'->'objects', f.said->'objects') from runbook_said k, runbook_said f
    where k.is_kept and not f.is_kept and jsonb_typeof(k.said) = 'object' and split_part(k.said->'content'->>'server_version', '.', 1) = split_part(f.said->>'server_version', '.', 1)
      and k.said->'content'->'objects' is distinct from f.said->'objects'
  union all select format('%s: there is no such table', w) from regexp_split_to_table(:'wanted', ' ') w where w <> '' and not exists (select from runbook_found where name in (w, 'public.' || w))
  union all select 'there is no revision' from runbook_said where not is_kept and said->>'revision' is null;
select 'NOT PROVEN: ' || what from runbook_wrong;
select format('%s: %s rows%s', f.name, f.n, case when (k.n, k.s) = (f.n, f.s) then ', checksum equal' else '' end) from runbook_found f left join runbook_kept k on k.name = f.name order by f.name;
select exists (select from runbook_wrong) as wrong \gset
\if :wrong
do $$ begin raise exception 'the restored database is not what it should be: see above'; end $$;
\endif
select format('comment on database %I is %L', :'new', 'runbook: proven ' || :'sum') \gexec
SQL
} | run "$new"
if [ -n "$manifest" ]; then echo "proven: every table of $new equals the manifest"; else echo "proven as far as can be: restored to its end, every expected table is there; there was no manifest to compare with"; fi
