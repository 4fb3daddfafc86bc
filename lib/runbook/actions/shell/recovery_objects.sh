# Read every object of the store that is no younger than the list made with the copy, and compare. Arguments: container, script, list
set -euo pipefail
container=$1 script=$2 list=$3
found=$(mktemp)
trap 'rm -f "$found"' EXIT
docker exec "$container" python -c "$script" "$(stat -c %Y "$list")" > "$found"
if ! cmp -s "$list" "$found"; then
  echo "the objects are not those of the list (- listed, + found):" >&2
  diff "$list" "$found" | grep '^[<>]' | head -n 20 >&2
  exit 1
fi
echo "$(wc -l < "$list") objects, every one with its SHA-256 as listed"
