"""Bash scripts of a migration. Values reach them as arguments only; each is safe to run again when it ran half."""

# container, container of the way in the other direction (which ends here), seconds, revision before, revision after, "or" or "stop"
# where the database is at neither, database container, user, name, then the words that start alembic in a container of its own.
# Where it runs already, it is followed.
MIGRATE = r"""
set -euo pipefail
name=$1 rival=$2 seconds=$3 before=$4 after=$5 otherwise=$6 box=$7 user=$8 base=$9; shift 9
docker rm --force "$rival" >/dev/null 2>&1 || true
ask() {
  docker exec --interactive --env PGAPPNAME="$name" --env PGCONNECT_TIMEOUT=5 "$box" \
    psql --no-psqlrc --quiet --no-align --tuples-only --field-separator ' ' --username "$user" --dbname "$base" "$@"
}
revision() { ask --command "select coalesce((select string_agg(version_num, ' ') from alembic_version), '')" 2>/dev/null || true; }
running=$(docker inspect --format '{{.State.Running}}' "$name" 2>/dev/null || echo absent)
if [ "$running" != true ]; then
  docker rm --force "$name" >/dev/null 2>&1 || true
  at=$(revision)
  if [ "$at" = "$after" ]; then echo "the database is at ${after:-the beginning} already"; exit 0; fi
  if [ "$at" != "$before" ]; then
    echo "the database is at ${at:-the beginning}, not at ${before:-the beginning}"
    if [ "$otherwise" = or ]; then exit 0; else exit 1; fi
  fi
  "$@" >/dev/null
fi
seen=$(mktemp)
trap 'rm -f "$seen"' EXIT
addresses=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$name")
begun=$(date +%s%N)
# every fifth of a second: which locks it holds, who waits for it; where it waits too long itself it is cancelled,
# since whoever comes after it waits behind it
ask --variable addresses="$addresses" --variable seconds="$seconds" --file - >"$seen" 2>/dev/null <<'SQL' &
with ours as (select pid from pg_stat_activity where host(client_addr) = any(string_to_array(trim(:'addresses'), ' ')))
select 'holds', l.mode, l.relation::regclass::text from pg_locks l join ours using (pid)
  where l.granted and l.locktype = 'relation' and l.relation >= 16384 and l.relation::regclass::text !~ '^[0-9]' and l.mode <> 'AccessShareLock'
union select 'behind', count(*)::text, '' from pg_stat_activity a where pg_blocking_pids(a.pid) && (select array_agg(pid) from ours)
union select 'cancelled', pg_cancel_backend(l.pid)::text, coalesce(l.relation::regclass::text, l.locktype) from pg_locks l join ours using (pid)
  where not l.granted and l.waitstart < clock_timestamp() - make_interval(secs => :seconds) \watch 0.2
SQL
watcher=$!
code=$(docker wait "$name")
ask --command "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '$name' and pid <> pg_backend_pid()" >/dev/null 2>&1 || true
kill "$watcher" 2>/dev/null || true
wait "$watcher" 2>/dev/null || true
took=$(( ($(date +%s%N) - begun) / 1000000 ))
docker logs --tail 40 "$name" 2>&1 | cut -c 1-300
docker rm "$name" >/dev/null
held=$(awk '$1 == "holds" {print $2 " on " $3}' "$seen" | sort -u | tr '\n' ';')
waited=$(awk '$1 == "behind" && $2 > most {most = $2} END {print most + 0}' "$seen")
echo "took $((took / 1000)).$(printf %03d $((took % 1000))) s; locks seen: ${held:-none}; most sessions that waited behind it: $waited"
if grep -q '^cancelled' "$seen"; then
  echo "it waited more than $seconds s for a lock on $(awk '$1 == "cancelled" {print $3; exit}' "$seen"), and was stopped: others would have waited behind it"
  exit 75
fi
if [ "$code" != 0 ]; then exit "$code"; fi
at=$(revision)
if [ "$at" != "$after" ]; then echo "alembic ended well, but the database is at ${at:-the beginning}"; exit 1; fi
"""

# revision, container, then the words that run alembic
CURRENT = r"""
set -euo pipefail
wanted=$1 name=$2; shift 2
docker rm --force "$name" >/dev/null 2>&1 || true
at=$("$@" current 2>/dev/null | cut -d ' ' -f 1 | tr '\n' ' ')
if [ "${at% }" != "$wanted" ]; then echo "alembic current says ${at:-nothing}, not ${wanted:-nothing}" >&2; exit 1; fi
"""
