# Put files and folders into the repository, with owners, modes and links. Arguments: class, paths
class=$1
shift
restic backup --json --quiet --host "$target" --tag "$run" --tag "$class" -- "$@" | tail -n 1 | keep "snapshot-$class.json"
grep -q '"message_type":"summary"' "$work/snapshot-$class.json" || { rm "$work/snapshot-$class.json"; echo "restic gave no summary" >&2; exit 1; }
grep -o '"\(total_files_processed\|total_bytes_processed\|data_added_packed\|snapshot_id\)":[^,}]*' "$work/snapshot-$class.json"
