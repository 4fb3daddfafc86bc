# Read every object of the store and compare with the list made with the copy, before users are served and can delete any.
# Arguments: container, script, list, file that marks the end
set -euo pipefail
export LC_ALL=C
container=$1 script=$2 list=$3 mark=$4
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
docker exec "$container" python -c "$script" 99999999999 > "$place/read"
sort "$list" > "$place/wanted"
sort "$place/read" > "$place/found"
lacking=$(comm -23 "$place/wanted" "$place/found" | wc -l)
if [ "$lacking" != 0 ]; then
  echo "$lacking of $(wc -l < "$list") objects are missing or differ:" >&2
  comm -23 "$place/wanted" "$place/found" | head -n 20 >&2
  exit 1
fi
echo "$(wc -l < "$list") objects, every one with its SHA-256 as listed"
# the copy is a little older than its list: what users deleted or replaced in between, it still has
more=$(comm -13 "$place/wanted" "$place/found" | wc -l)
[ "$more" = 0 ] || echo "$more more are there, deleted or replaced by users while the backup was made"
wc -l < "$list" > "$mark.part"
sync "$mark.part"
mv -T "$mark.part" "$mark"
