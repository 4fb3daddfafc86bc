# Restore a copy of a volume into an empty folder beside it. Arguments: snapshot, volume
snapshot=$1 volume=$2
place=$(docker volume inspect --format '{{.Mountpoint}}' "$volume")
new=$place.new-$run
install -d -m 700 "$work"
rm -rf "$new"
restic restore --quiet --verify --target "$new" "$snapshot:$place"
chmod --reference="$place" "$new"
chown --reference="$place" "$new"
sync -f "$new"
echo "$new" | keep fetched
