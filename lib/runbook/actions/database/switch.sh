# Put a proven database in the place of the application's: stop the writers, swap by rename in one transaction, start them.
# The old one stays under another name. Run again after a crash at any point, it goes on from there; where all is done, nothing happens.
# Arguments: container, role, application's database, new one, name for the old one, containers that write (in order of their start)
set -euo pipefail
exec </dev/null
container=$1 role=$2 database=$3 new=$4 before=$5
shift 5
ask() { docker exec -i -e 'PGOPTIONS=-c statement_timeout=0 -c lock_timeout=20s -c client_min_messages=warning' -e PGAPPNAME=runbook-switch "$container" psql -qAtX -v ON_ERROR_STOP=1 -v database="$database" -v new="$new" -v before="$before" -U "$role" -d postgres; }
state() {
  ask <<'SQL'
select concat_ws(' ', case when exists (select from pg_database where datname = :'new') then 'new' end, case when exists (select from pg_database where datname = :'before') then 'before' end,
  (select case when shobj_description(oid, 'pg_database') like 'runbook: proven %' and not exists (select from pg_database where datname in (:'new', :'before')) then 'restored' else 'current' end
    from pg_database where datname = :'database'));
SQL
}
start() { docker start "$@" > /dev/null; }
swapped() { [ "$1" = "before current" ] || [ "$1" = "restored" ]; } # restored: there was no old one
now=$(state)
if ! swapped "$now"; then
  proven=$(ask <<'SQL'
select coalesce(shobj_description(oid, 'pg_database'), '') like 'runbook: proven %' from pg_database where datname = :'new';
SQL
)
  case "$now" in "new current"|new) ;; *) echo "cannot swap: there is '$now'" >&2; exit 1 ;; esac
  if [ "$proven" != t ]; then echo "$new is not proven: nothing is stopped" >&2; exit 1; fi
  # whatever goes wrong from here on: the writers come back, to the database that has the name then
  trap 'start "$@"' EXIT
  stopped=()
  for name in "$@"; do stopped=("$name" ${stopped[@]+"${stopped[@]}"}); done
  docker stop -t 15 "${stopped[@]}" > /dev/null
  for attempt in 1 2 3 4 5; do
    # RENAME takes the database's lock, so that no session gets in, and waits 5 s for those inside to go; one that slipped in
    # between the two statements only costs another attempt. Nobody has a session across the rename.
    if ask <<'SQL'
begin;
select pg_terminate_backend(pid) from pg_stat_activity where datname in (:'database', :'new') and pid <> pg_backend_pid() \g /dev/null
-- what belongs to the database and not to its content: rights, settings, limit of connections, comment
select format('revoke all on database %I from public', :'new') from pg_database where datname = :'database' and datacl is not null \gexec
select format('grant %s on database %I to %s%s', a.privilege_type, :'new', case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end, case when a.is_grantable then ' with grant option' else '' end)
  from pg_database, aclexplode(datacl) a where datname = :'database' \gexec
select format('alter %s set %I to %s', case when s.setrole = 0 then format('database %I', :'new') else format('role %I in database %I', pg_get_userbyid(s.setrole), :'new') end, split_part(c, '=', 1),
    case when split_part(c, '=', 1) in ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries') then substr(c, strpos(c, '=') + 1) else quote_literal(substr(c, strpos(c, '=') + 1)) end)
  from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(s.setconfig) c where d.datname = :'database' \gexec
select format('alter database %I connection limit %s', :'new', datconnlimit) from pg_database where datname = :'database' and datconnlimit >= 0 \gexec
select format('comment on database %I is %L', :'new', shobj_description(oid, 'pg_database')) from pg_database where datname = :'database' \gexec
select format('alter database %I rename to %I', :'database', :'before') from pg_database where datname = :'database' \gexec
alter database :"new" rename to :"database";
commit;
SQL
    then break; fi
    if [ "$attempt" = 5 ]; then echo "the databases could not be swapped: sessions kept coming" >&2; exit 1; fi
  done
  trap - EXIT
fi
start "$@"
echo "$database is the restored one now; the old one is $before"
