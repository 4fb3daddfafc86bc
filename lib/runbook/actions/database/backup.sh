# Take one dump with a manifest: complete and read through, or absent.
# Arguments: container, role, database, file to make, format (custom, directory), method of pg_dump -Z, processes, counts.sql
set -euo pipefail
exec </dev/null
container=$1 role=$2 database=$3 final=$4 format=$5 method=$6 processes=$7 counts=$8
umask 027
folder=$(dirname "$final")
part=$final.part
if [ -e "$final" ] && [ -e "$final.manifest.json" ]; then echo "$final is there already"; exit 0; fi
# an earlier attempt that was cut off
rm -f "$part" "$final.sha256.part" "$final.manifest.json.part"
inside=/var/tmp/runbook-${final##*/}
# the snapshot must live until pg_dump has taken it over; a session that was left behind must not hold back vacuum for ever
limits='-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=60s'
in_container() { docker exec -i -e "PGOPTIONS=$limits" -e PGAPPNAME=runbook-backup "$container" "$@"; }
holder=
clean() {
  rm -f "$part" "$final.sha256.part" "$final.manifest.json.part"
  if [ "$format" = directory ]; then docker exec "$container" rm -rf "$inside" || true; fi
  if [ -n "$holder" ]; then kill "$holder" 2>/dev/null || true; fi
}
trap clean EXIT
begun=$EPOCHREALTIME

# one session holds the snapshot; pg_dump and the counts both look through it, so they see the same rows
coproc session { in_container psql -qAtX -v ON_ERROR_STOP=1 -U "$role" -d "$database"; }
holder=$session_PID
exec {say}>&"${session[1]}" {hear}<&"${session[0]}"
printf '%s\n' 'begin isolation level repeatable read read only;' 'select pg_export_snapshot();' >&"$say"
IFS= read -r snapshot <&"$hear" || { echo "the database gave no snapshot" >&2; exit 1; }
# sequences know no snapshot: read before pg_dump reads them, they are what it will find at least
printf '%s\n' "select coalesce(jsonb_object_agg(format('%I.%I', schemaname, sequencename), last_value), '{}')::text from pg_sequences where last_value is not null;" >&"$say"
IFS= read -r sequences <&"$hear" || { echo "the sequences could not be read" >&2; exit 1; }
printf '%s\n' "$counts" >&"$say"
if [ "$format" = directory ]; then
  docker exec "$container" rm -rf "$inside"
  in_container pg_dump -U "$role" -F d -j "$processes" -Z "$method" --snapshot="$snapshot" --lock-wait-timeout=60s -f "$inside" "$database"
else
  in_container pg_dump -U "$role" -F c -Z "$method" --snapshot="$snapshot" --lock-wait-timeout=60s "$database" > "$part"
fi
dumped=$EPOCHREALTIME
IFS= read -r content <&"$hear" || { echo "the rows could not be counted" >&2; exit 1; }
printf '%s\n' 'commit;' '\q' >&"$say" || true

# pg_restore --list is content with half a dump; only reading it to its end is not
if [ "$format" = directory ]; then
  in_container pg_restore -F d -f /dev/null "$inside"
  docker exec "$container" tar -C "$inside" -cf - . > "$part"
else
  in_container pg_restore -f /dev/null < "$part"
fi
ended=$EPOCHREALTIME
chown --reference="$folder" "$part"
chmod 0640 "$part"
sync "$part"
bytes=$(stat -c %s "$part")
sum=$(sha256sum < "$part" | cut -d ' ' -f 1)
client=$(in_container pg_dump --version | grep -o '[0-9][0-9.]*' | head -n 1)
seconds() { LC_ALL=C awk -v a="$1" -v b="$2" 'BEGIN { printf "%.1f", b - a }'; }
printf '%s  %s\n' "$sum" "${final##*/}" > "$final.sha256.part"
printf '{"manifest":1,"file":"%s","bytes":%s,"sha256":"%s","format":"%s","method":"%s","processes":%s,"pg_dump":"%s","made":"%s","seconds":%s,"verified":{"at":"%s","by":"pg_restore read it to its end","seconds":%s},"proven":null,"sequences":%s,"content":%s}\n' \
  "${final##*/}" "$bytes" "$sum" "$format" "$method" "$processes" "$client" "$(date -u -d "@${begun%.*}" +%Y-%m-%dT%H:%M:%SZ)" "$(seconds "$begun" "$dumped")" \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(seconds "$dumped" "$ended")" "$sequences" "$content" > "$final.manifest.json.part"
for beside in "$final.sha256" "$final.manifest.json"; do
  chown --reference="$folder" "$beside.part"
  chmod 0640 "$beside.part"
  sync "$beside.part"
  mv -T "$beside.part" "$beside"
done
# the dump comes last: where it is, its checksum and manifest are
mv -T "$part" "$final"
sync "$folder"
echo "$final: $bytes bytes in $(seconds "$begun" "$ended") s, sha256 $sum"
