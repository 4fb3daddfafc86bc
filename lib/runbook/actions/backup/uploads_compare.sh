# Compare the store's objects with the list of a run. Arguments: snapshot of the manifest, container, script
listing=$1 container=$2 script=$3
wanted=$(restic ls --json "$listing" | grep -o '"path":"[^"]*\.objects\.jsonl"' | head -n 1 | cut -d '"' -f 4)
[ -n "$wanted" ] || { echo "the run has no list of objects" >&2; exit 1; }
restic dump "$listing" "$wanted" | sort > "$work/wanted.jsonl"
docker exec "$container" python -c "$script" 99999999999 | sort > "$work/found.jsonl"
lacking=$(comm -23 "$work/wanted.jsonl" "$work/found.jsonl" | wc -l)
if [ "$lacking" != 0 ]; then
  echo "$lacking of $(wc -l < "$work/wanted.jsonl") objects are missing or differ:" >&2
  comm -23 "$work/wanted.jsonl" "$work/found.jsonl" | head -n 5 >&2
  exit 1
fi
echo "all $(wc -l < "$work/wanted.jsonl") objects of the manifest are served, each with its SHA-256"
