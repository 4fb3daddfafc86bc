# Note in a dump's manifest that it was restored and compared, just now. Arguments: container, role, manifest
set -euo pipefail
exec </dev/null
manifest=$3
{
  echo "copy pg_temp.runbook_said from stdin (format csv, delimiter E'\\x02', quote E'\\x01');"
  tr -d '\n' < "$manifest"
  printf '\n\\.\n'
  cat <<'SQL'
select jsonb_set(said, '{proven}', jsonb_build_object('at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'by', 'restored into a scratch database; every table equal'))::text from pg_temp.runbook_said;
SQL
} | { echo 'create temp table runbook_said (said jsonb);'; cat; } | docker exec -i "$1" psql -qAtX -v ON_ERROR_STOP=1 -U "$2" -d postgres > "$manifest.part"
chown --reference="$manifest" "$manifest.part"
chmod --reference="$manifest" "$manifest.part"
sync "$manifest.part"
mv -T "$manifest.part" "$manifest"
sync "$(dirname "$manifest")"
