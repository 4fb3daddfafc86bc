# Take a restored database away: dropped as long as nobody wrote to it, else kept under a name that says so.
# Arguments: container, role, database, name to keep it under, counts.sql, manifest ("" for none)
set -euo pipefail
exec </dev/null
container=$1 role=$2 new=$3 kept=$4 counts=$5 manifest=$6
run() { docker exec -i -e 'PGOPTIONS=-c statement_timeout=0 -c lock_timeout=20s -c client_min_messages=warning' -e PGAPPNAME=runbook-unmake "$container" psql -qAtX -v ON_ERROR_STOP=1 -v new="$new" -v kept="$kept" -U "$role" -d "$1"; }
said=$(run postgres <<'SQL'
select 'there ' || coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = :'new';
SQL
)
if [ -z "$said" ]; then echo "$new is not there"; exit 0; fi
same=t
if [ "$said" = "there runbook: was in service" ]; then
  same=f
  if [ -n "$manifest" ]; then
    found=$(printf '%s\n' "$counts" | run "$new")
    same=$({ printf '%s\n' 'create temp table said (kept boolean, said jsonb);' "copy said from stdin (format csv, delimiter E'\\x02', quote E'\\x01');"
      printf 'f\002%s\nt\002%s\n\\.\n' "$found" "$(tr -d '\n' < "$manifest")"
      printf '%s\n' "select k.said->'content'->'tables' = f.said->'tables' from said k, said f where k.kept and not f.kept;"; } | run postgres)
  fi
fi
if [ "$same" = t ]; then
  run postgres <<'SQL'
drop database if exists :"new" with (force);
SQL
  echo "$new is dropped: nobody had written to it"
else
  run postgres <<'SQL'
select pg_terminate_backend(pid) from pg_stat_activity where datname = :'new' \g /dev/null
select format('alter database %I rename to %I', :'new', :'kept') where not exists (select from pg_database where datname = :'kept') \gexec
SQL
  echo "$kept is kept: it holds what was written after the swap"
fi
