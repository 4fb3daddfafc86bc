# Fill the empty volume of a store from a copy, owners kept. Arguments: snapshot, class, volume, where the copy's volume lay
snapshot=$1 class=$2 volume=$3 was=$4
place=$(docker volume inspect --format '{{.Mountpoint}}' "$volume")
users=$(docker ps --quiet --filter "volume=$volume")
if [ -n "$users" ]; then echo "a running container uses $volume; nothing is restored under a store that runs" >&2; exit 1; fi
if [ -n "$(ls -A "$place")" ] && [ ! -e "$work/filling-$class" ]; then echo "$volume is not empty: nothing is merged into it" >&2; exit 1; fi
: > "$work/filling-$class"
find "$place" -mindepth 1 -delete
restic restore --json --target "$place" "$snapshot:$was" | tail -n 1 > "$work/summary.json"
came_to_its_end
sync -f "$place"
keep "restored-$class.json" < "$work/summary.json"
grep -o '"\(files_restored\|total_bytes\)":[^,}]*' "$work/restored-$class.json"
