# Put files of a copy back to their places, with owners, modes and links. Arguments: snapshot, class
snapshot=$1 class=$2
restic restore --json --target / "$snapshot" | tail -n 1 | keep "restored-$class.json"
grep -q '"message_type":"summary"' "$work/restored-$class.json" || { rm "$work/restored-$class.json"; echo "restic gave no summary" >&2; exit 1; }
grep -o '"\(files_restored\|total_bytes\)":[^,}]*' "$work/restored-$class.json"
