# Put one object back: a second store serves the copy, the object goes from it into the real one, and is compared.
# Arguments: snapshot of the manifest, volume, the store's container, the container of a client, script, key
listing=$1 volume=$2 store=$3 reader=$4 script=$5 key=$6
place=$(docker volume inspect --format '{{.Mountpoint}}' "$volume")
second=runbook-store-$run
object() { docker exec -i "$reader" python -c "$script" "$@"; }
wanted=$(restic dump "$listing" "$(restic ls --json "$listing" | grep -o '"path":"[^"]*\.objects\.jsonl"' | head -n 1 | cut -d '"' -f 4)" |
  python3 -c 'import json, sys; print(next((row["sha256"] for row in map(json.loads, sys.stdin) if row["key"] == sys.argv[1]), ""))' "$key")
[ -n "$wanted" ] || { echo "the copy has no object of the key $key" >&2; exit 1; }
# what it is now is kept first, and only once: a second try must not take the new content for the one before
if [ ! -e "$work/object-was" ]; then
  if object get "" "$key" > "$work/object" < /dev/null; then echo there | keep object-was; else [ $? = 44 ]; echo absent | keep object-was; fi
fi
docker rm --force "$second" >/dev/null 2>&1 || true
trap 'docker rm --force "$second" >/dev/null 2>&1 || true; rm -f "$work/environment"' EXIT
docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$store" > "$work/environment"
inside=$(docker inspect --format "{{range .Mounts}}{{if eq .Name \"$volume\"}}{{.Destination}}{{end}}{{end}}" "$store")
others=$(docker inspect --format "{{range .Mounts}}{{if ne .Name \"$volume\"}}--volume {{.Source}}:{{.Destination}}:ro {{end}}{{end}}" "$store")
network=$(docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$store" | head -n 1)
# shellcheck disable=SC2086 # words by intention
docker run --detach --pull never --name "$second" --network "$network" --env-file "$work/environment" --volume "$place.new-$run:$inside" $others \
  "$(docker inspect --format '{{.Image}}' "$store")" $(docker inspect --format '{{join .Config.Cmd " "}}' "$store") >/dev/null
port=$(docker exec "$reader" printenv S3_ENDPOINT | cut -s -d : -f 2)
for attempt in $(seq 60); do
  if object get "$second:${port:-9000}" "$key" > "$work/restored" < /dev/null 2> "$work/said"; then break; fi
  [ "$attempt" != 60 ] || { tail -n 1 "$work/said" >&2; exit 1; }
  sleep 0.5
done
[ "$(sha256sum < "$work/restored" | cut -c 1-64)" = "$wanted" ] || { echo "the copy's object is not what the manifest says" >&2; exit 1; }
object put "" "$key" < "$work/restored"
[ "$(object get "" "$key" < /dev/null | sha256sum | cut -c 1-64)" = "$wanted" ]
rm -f "$work/restored"
echo "$wanted" | keep put
echo "$key has the content of the copy again, SHA-256 ${wanted:0:16}; it was $(cat "$work/object-was")"
