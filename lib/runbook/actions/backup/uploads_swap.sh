# Put the restored folder in place of a volume's, or the one from before back. Arguments: volume, container, in or back
volume=$1 container=$2 way=$3
place=$(docker volume inspect --format '{{.Mountpoint}}' "$volume")
new=$place.new-$run before=$place.before-$run undone=$place.undone-$run
if [ "$way" = in ] && [ -e "$work/swapped" ]; then echo "it is in place already"; exit 0; fi
if [ "$way" = back ] && [ ! -e "$before" ]; then docker start "$container" >/dev/null; echo "it was never put in place"; exit 0; fi
# whatever happens in between, the store is started again: on the old folder or on the new one, never on none
trap 'if [ ! -e "$place" ]; then mv -T "$before" "$place"; fi; docker start "$container" >/dev/null' EXIT
docker stop "$container" >/dev/null
if [ "$way" = in ]; then
  if [ ! -e "$before" ]; then mv -T "$place" "$before"; fi
  if [ ! -e "$place" ]; then mv -T "$new" "$place"; fi
  sync -f "$place"
  echo "$before" | keep swapped
else
  # what was uploaded meanwhile is in it: it is kept
  if [ -e "$place" ] && [ ! -e "$undone" ]; then mv -T "$place" "$undone"; fi
  if [ ! -e "$place" ]; then mv -T "$before" "$place"; fi
  sync -f "$place"
  rm -f "$work/swapped"
fi
