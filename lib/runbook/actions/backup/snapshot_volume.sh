# Put the volume of a store into the repository as it was at one instant. Arguments: class, container, freeze (yes, no), volumes
# The container is frozen, not stopped: a reboot in between starts it again, and it goes on where it was. What is on disk while
# it is frozen is what a crash at that instant would leave, which the store's own journal makes good of.
class=$1 container=$2 freeze=$3
shift 3
thaw() { if [ "$(docker inspect --format '{{.State.Paused}}' "$container" 2>/dev/null)" = true ]; then docker unpause "$container" >/dev/null; fi; }
trap thaw EXIT
thaw
paths=()
for volume in "$@"; do paths+=("$(docker volume inspect --format '{{.Mountpoint}}' "$volume")"); done
mark=passing
stale=$(ids "$mark")
[ -z "$stale" ] || restic forget --quiet $stale
running=$(docker inspect --format '{{.State.Running}}' "$container" 2>/dev/null || echo false)
parent=()
if [ "$freeze" = yes ] && [ "$running" = true ]; then
  # first while it serves, so that little is left to copy while it does not (3: a file went away meanwhile)
  restic backup --quiet --host "$target" --tag "$mark" -- "${paths[@]}" || [ $? = 3 ]
  passing=$(ids "$mark")
  [ -z "$passing" ] || parent=(--parent "$passing")
  docker pause "$container" >/dev/null
fi
frozen_at=$EPOCHREALTIME
restic backup --json --quiet --host "$target" --tag "$run" --tag "$class" "${parent[@]}" -- "${paths[@]}" | tail -n 1 > "$work/summary.json"
thaw
thawed_at=$EPOCHREALTIME
came_to_its_end
passing=$(ids "$mark")
[ -z "$passing" ] || restic forget --quiet $passing
printf '{"frozen_at":%s,"thawed_at":%s,"frozen":%s,"mountpoints":"%s"}\n' "$frozen_at" "$thawed_at" "$([ "$freeze/$running" = yes/true ] && echo true || echo false)" "${paths[*]}" | keep "frozen-$class.json"
keep "snapshot-$class.json" < "$work/summary.json"
LC_ALL=C awk -v a="$frozen_at" -v b="$thawed_at" 'BEGIN { printf "frozen for %.1f s\n", b - a }'
