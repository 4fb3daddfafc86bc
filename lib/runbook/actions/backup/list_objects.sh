# List the objects of the store with their checksums, as of the instant at which its volume was copied. Arguments: class, container, script
class=$1 container=$2 script=$3
at=$(grep -o '"frozen_at":[0-9]*' "$work/frozen-$class.json" | cut -d : -f 2)
docker exec "$container" python -c "$script" "$at" > "$work/listed"
keep objects.jsonl < "$work/listed"
printf '%s objects, %s bytes\n' "$(wc -l < "$work/objects.jsonl")" "$({ grep -o '"size": [0-9]*' "$work/objects.jsonl" || true; } | awk '{ s += $2 } END { print s + 0 }')"
