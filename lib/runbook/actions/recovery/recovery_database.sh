# Fill the empty database from a dump, all of it or nothing, and compare every table with the dump's manifest.
# Arguments: container, role, database, dump, counts.sql, file that marks the end
set -euo pipefail
container=$1 role=$2 database=$3 dump=$4 counts=$5 mark=$6
in_container() { docker exec -i -e PGAPPNAME=runbook-recovery "$container" "$@"; }
(cd "$(dirname "$dump")" && sha256sum --quiet --check "$(basename "$dump").sha256")
tables=$(in_container psql -qAtX -U "$role" -d "$database" -c "select count(*) from pg_tables where schemaname !~ '^(pg_|information_schema$)'" </dev/null)
if [ "$tables" = 0 ]; then
  format=$(jq -r .format "$dump.manifest.json")
  if [ "$format" = directory ]; then
    inside=/var/tmp/runbook-recovery
    docker exec "$container" rm -rf "$inside"
    docker exec "$container" mkdir "$inside"
    docker exec -i "$container" tar -C "$inside" -xf - < "$dump"
    in_container pg_restore -U "$role" -d "$database" --exit-on-error --single-transaction -F d "$inside" </dev/null
    docker exec "$container" rm -rf "$inside"
  else
    in_container pg_restore -U "$role" -d "$database" --exit-on-error --single-transaction < "$dump"
  fi
  in_container psql -qAtX -U "$role" -d "$database" -c 'analyze' </dev/null
fi
found=$(printf '%s\n' "$counts" | in_container psql -qAtX -v ON_ERROR_STOP=1 -U "$role" -d "$database")
wanted=$(jq -cS '.content | {revision, tables, objects, sequences}' "$dump.manifest.json")
same=$(printf '%s' "$found" | jq -cS '{revision, tables, objects, sequences}')
if [ "$wanted" != "$same" ]; then
  printf 'the database is not what the manifest says:\n%s\n%s\n' "$wanted" "$same" >&2
  exit 1
fi
printf '%s' "$found" | jq -r '"\(.tables | length) tables, \([.tables[].rows] | add) rows, revision \(.revision): all as in the manifest"'
printf '%s\n' "$same" > "$mark.part"
sync "$mark.part"
mv -T "$mark.part" "$mark"
