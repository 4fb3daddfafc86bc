# Take a swap back: the old database gets its name again, the restored one its own. Where there was no swap, only the writers start.
# Arguments: as of switch.sh
set -euo pipefail
exec </dev/null
container=$1 role=$2 database=$3 new=$4 before=$5
shift 5
ask() { docker exec -i -e 'PGOPTIONS=-c statement_timeout=0 -c lock_timeout=20s -c client_min_messages=warning' -e PGAPPNAME=runbook-switch "$container" psql -qAtX -v ON_ERROR_STOP=1 -v database="$database" -v new="$new" -v before="$before" -U "$role" -d postgres; }
there=$(ask <<'SQL'
select exists (select from pg_database where datname = :'before');
SQL
)
trap 'docker start "$@" > /dev/null' EXIT
if [ "$there" = t ]; then
  stopped=()
  for name in "$@"; do stopped=("$name" ${stopped[@]+"${stopped[@]}"}); done
  docker stop -t 15 "${stopped[@]}" > /dev/null
  for attempt in 1 2 3 4 5; do
    if ask <<'SQL'
begin;
select pg_terminate_backend(pid) from pg_stat_activity where datname in (:'database', :'before') and pid <> pg_backend_pid() \g /dev/null
select format('alter database %I rename to %I', :'database', :'new') from pg_database where datname = :'database' \gexec
alter database :"before" rename to :"database";
select format('comment on database %I is %L', :'new', 'runbook: was in service') from pg_database where datname = :'new' \gexec
commit;
SQL
    then break; fi
    if [ "$attempt" = 5 ]; then echo "the databases could not be swapped back: sessions kept coming" >&2; exit 1; fi
  done
fi
echo "$database is the one from before"
