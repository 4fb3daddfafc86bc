# Write down what this run has put into the repository, and put that in, too: the mark of a run that came to its end.
# Arguments: script, folder for manifests, dump (or empty), containers of the stack
script=$1 folder=$2 dump=$3
shift 3
install -d -m 750 -g "$group" "$folder"
docker inspect "$@" > "$work/containers.json" 2>/dev/null || true
docker image inspect $(docker inspect --format '{{.Image}}' "$@" 2>/dev/null | sort -u) > "$work/images.json" 2>/dev/null || true
docker version --format '{{json .}}' > "$work/docker.json"
python3 -c "$script" manifest "$work" "$folder/$run.json" "$target" "$run" "$dump" "$(command restic version)"
files=("$folder/$run.json")
if [ -e "$work/objects.jsonl" ]; then install -m 640 "$work/objects.jsonl" "$folder/$run.objects.jsonl"; files+=("$folder/$run.objects.jsonl"); fi
chgrp "$group" "${files[@]}"
chmod 640 "${files[@]}"
sync -f "$folder"
restic backup --json --quiet --host "$target" --tag "$run" --tag manifest -- "${files[@]}" | tail -n 1 > "$work/summary.json"
came_to_its_end
keep snapshot-manifest.json < "$work/summary.json"
