# Tell what was written to the old database between its backup and the swap: it is in the kept database, not in the restored one.
# It never fails: not to know this is no reason to take a restore back.
# Arguments: container, role, kept database, counts.sql, manifest of the backup taken just before
set -uo pipefail
exec </dev/null
container=$1 role=$2 kept=$3 counts=$4 manifest=$5
run() { docker exec -i -e 'PGOPTIONS=-c default_transaction_read_only=on -c statement_timeout=0' "$container" psql -qAtX -v ON_ERROR_STOP=1 -U "$role" -d "$1"; }
tell() {
  local found saved tag=\$runbook_$RANDOM$RANDOM\$
  found=$(printf '%s\n' "$counts" | run "$kept") || return
  saved=$(tr -d '\n' < "$manifest") || return
  printf '%s\n' "with saved as (select * from jsonb_each(${tag}${saved}${tag}::jsonb->'content'->'tables')), kept as (select * from jsonb_each(${tag}${found}${tag}::jsonb->'tables')),
told as (select format('%s: %s rows in %s, %s in the backup taken just before', kept.key, kept.value->>'rows', '$kept', coalesce(saved.value->>'rows', 'none')) as line from kept left join saved using (key) where saved.value is distinct from kept.value)
select line from told union all select 'nothing was written between the backup and the swap' where not exists (select from told);" | run postgres
}
tell || echo "what was written between the backup and the swap could not be told; it is in $kept"
