# Remove what was restored beside a volume, and the container that read it. Arguments: volume
place=$(docker volume inspect --format '{{.Mountpoint}}' "$1")
docker rm --force "runbook-store-$run" >/dev/null 2>&1 || true
rm -rf "$place.new-$run" "$work/fetched"
