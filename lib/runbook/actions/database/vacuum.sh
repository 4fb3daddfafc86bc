# VACUUM (ANALYZE) of one table, with progress. Arguments: container, role, database, schema, table
set -euo pipefail
exec </dev/null
container=$1 role=$2 database=$3 schema=$4 table=$5
run() { docker exec -i -e 'PGOPTIONS=-c statement_timeout=0 -c lock_timeout=15s' -e PGAPPNAME=runbook-vacuum "$container" psql -qAtX -v ON_ERROR_STOP=1 -v schema="$schema" -v table="$table" -U "$role" -d "$database"; }
dead() {
  run <<'SQL'
select format('%s dead rows of %s, %s', n_dead_tup, n_live_tup + n_dead_tup, pg_size_pretty(pg_total_relation_size(relid))) from pg_stat_user_tables where schemaname = :'schema' and relname = :'table';
SQL
}
progress() {
  run <<'SQL'
select format('%s: %s %% of %s read', p.phase, round(100.0 * p.heap_blks_scanned / greatest(p.heap_blks_total, 1)), pg_size_pretty(p.heap_blks_total * current_setting('block_size')::bigint))
  from pg_stat_progress_vacuum p join pg_stat_activity a using (pid) where a.application_name = 'runbook-vacuum';
SQL
}
echo "$schema.$table before: $(dead)"
run <<'SQL' &
vacuum (analyze) :"schema".:"table";
SQL
work=$!
next=5
while kill -0 "$work" 2>/dev/null; do
  sleep 0.2
  if [ "$SECONDS" -ge "$next" ]; then next=$((SECONDS + 5)); progress || true; fi
done
wait "$work"
echo "$schema.$table after: $(dead)"
