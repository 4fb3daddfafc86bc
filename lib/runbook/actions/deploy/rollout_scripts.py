"""Bash scripts of a rollout. Values reach them as arguments only; each is safe to run again when it ran half."""

# history, run, event, the line's other fields as JSON without its first brace
NOTE = r"""
set -euo pipefail
history=$1 run=$2 event=$3 rest=$4
umask 077
mkdir -p "$(dirname "$history")"
touch "$history"
if grep -F "\"run\": \"$run\"" "$history" | grep -qF "\"event\": \"$event\""; then exit 0; fi
by=$(sed -n 's/.*"operator": "\([^"\\]*\)".*/\1/p' "$(dirname "$history")/lock" 2>/dev/null || true)
# a line that was cut off by a crash must not swallow this one
if [ -n "$(tail -c 1 "$history")" ]; then echo >> "$history"; fi
printf '{"time": "%s", "by": "%s", "run": "%s", "event": "%s", %s\n' "$(date -u +%FT%TZ)" "${by:-${SUDO_USER:-root}}" "$run" "$event" "$rest" >> "$history"
sync "$history"
"""
NOTED = r"""grep -F "\"run\": \"$2\"" "$1" | grep -qF "\"event\": \"$3\"" """

# repository:tag, digest. The tag is set here only where it means nothing yet: what runs under it must stay what it is.
PULL = r"""
set -euo pipefail
docker pull --quiet "$1@$2"
docker image inspect "$1" >/dev/null 2>&1 || docker tag "${1%:*}@$2" "$1"
"""

# accepted revision, revisions the image's label allows, version, database container, user, name, then the words that run alembic in the new image
SCHEMA = r"""
set -euo pipefail
accepted=$1 allowed=$2 version=$3 box=$4 user=$5 base=$6 container=$7; shift 7
docker rm --force "$container" >/dev/null 2>&1 || true
at=$(docker exec "$box" psql --no-psqlrc --quiet --no-align --tuples-only --username "$user" --dbname "$base" --command 'select version_num from alembic_version')
heads=$("$@" heads 2>/dev/null | cut -d ' ' -f 1)
if [ -n "$at" ] && [ "$at" = "$heads" ]; then echo "the image and the database are both at $at"; exit 0; fi
docker rm --force "$container" >/dev/null 2>&1 || true
known=$("$@" history 2>/dev/null | sed -n 's/^.* -> //p')  # newest first: "0004 (head), title"
if [ -z "$at" ] || grep -q "^$at[ ,]" <<< "$known"; then
  pending=$(awk -v at="$at" '$1 == at || $1 == at "," {exit} {print}' <<< "$known" | paste -sd ';')
  echo "$version needs the database at revision ${heads//$'\n'/ }, and it is at ${at:-none}: run 03-deploy/migrate with version=$version first (pending: $pending)" >&2
  exit 3
fi
case " $allowed " in *" $at "*) echo "the image declares that it runs on $at"; exit 0 ;; esac
if [ "$at" = "$accepted" ]; then echo "accepted by the operator: $version, made for ${heads//$'\n'/ }, on $at"; exit 0; fi
echo "the database is at revision ${at:-none}, which $version (made for ${heads//$'\n'/ }) does not know: run 03-deploy/migrate-rollback first, or, if you know that it runs on $at, decide so with accept_schema=$at" >&2
exit 4
"""

# container, seconds, port, host name, probes (a line each: method, statuses with commas, path, body), then the words that start it
TRY_OUT = r"""
set -euo pipefail
name=$1 seconds=$2 port=$3 host=$4 probes=$5; shift 5
docker rm --force "$name" >/dev/null 2>&1 || true
trap 'docker rm --force "$name" >/dev/null 2>&1 || true' EXIT
"$@" >/dev/null
failed() { echo "$1"; docker logs --tail 25 "$name" 2>&1 | cut -c 1-300; exit 1; }
ask() {
  local words=(--silent --insecure --max-time 5 --output /dev/null --write-out '%{http_code}' --header "Host: $host" --request "$1")
  if [ "$1" = HEAD ]; then words+=(--head); fi
  if [ -n "$4" ]; then words+=(--header 'Content-Type: application/json' --data "$4"); fi
  code=$(curl "${words[@]}" "http://$address:$port$3") || true
  case " $2 " in *" $code "*) return 0 ;; *) return 1 ;; esac
}
deadline=$((SECONDS + seconds))
while read -r method expect path body; do
  expect=${expect//,/ }
  tries=0
  while :; do
    IFS=' ' read -r running ended address <<< "$(docker inspect --format '{{.State.Running}} {{.State.ExitCode}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$name")"
    address=${address%% *}
    if [ "$running" != true ]; then failed "the new version ended by itself at start, exit code $ended"; fi
    if ask "$method" "$expect" "$path" "$body"; then break; fi
    tries=$((tries + 1))
    # it answers, but wrongly: a few tries more are enough
    if [ "$SECONDS" -ge "$deadline" ] || { [ "$code" != 000 ] && [ "$tries" -ge 6 ]; }; then failed "the new version answers $code instead of $expect at $method $path"; fi
    sleep 0.5
  done
  echo "$method $path: $code"
done <<< "$probes"
"""

# environment file, variable, value, "set" or "unset"
SET_VERSION = r"""
set -euo pipefail
file=$1 name=$2 value=$3 how=$4
part=$file.runbook-part
rm -f "$part"
cp --preserve=all "$file" "$part"
if [ "$how" = unset ]; then
  sed -i "/^$name=/d" "$part"
elif grep -q "^$name=" "$part"; then
  sed -i "s|^$name=.*|$name=$value|" "$part"
else
  if [ -n "$(tail -c 1 "$part")" ]; then echo >> "$part"; fi
  printf '%s=%s\n' "$name" "$value" >> "$part"
fi
chown --reference="$file" "$part"
chmod --reference="$file" "$part"
sync "$part"
mv -T "$part" "$file"
sync "$(dirname "$file")"
"""

# seconds, then containers ("name:running" need not be healthy). Ends at once where one crashes.
HEALTHY = r"""
set -euo pipefail
deadline=$((SECONDS + $1)); shift
while :; do
  waiting=
  for word in "$@"; do
    name=${word%:running}
    seen=$(docker inspect --format '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{.RestartCount}} {{.State.ExitCode}}' "$name")
    read -r state health restarts ended <<< "$seen"
    if [ "$restarts" != 0 ] || [ "$state" = exited ] || [ "$state" = dead ]; then
      echo "$name ended by itself (exit code $ended, restarted $restarts times)" >&2; exit 1
    fi
    case "$word/$state $health" in
      *:running/running\ *|*/running\ healthy|*/running\ none) ;;
      *) waiting="$waiting $name is $state, $health;" ;;
    esac
  done
  if [ -z "$waiting" ]; then exit 0; fi
  if [ "$SECONDS" -ge "$deadline" ]; then echo "not in time:$waiting" >&2; exit 1; fi
  sleep 0.5
done
"""

# image by digest, then containers
RUNS = r"""
set -eu
wanted=$(docker image inspect --format '{{.Id}}' "$1"); image=$1; shift
for name in "$@"; do
  seen=$(docker inspect --format '{{.Image}} {{.State.Running}}' "$name")
  if [ "$seen" != "$wanted true" ]; then echo "$name does not run $image" >&2; exit 1; fi
done
"""

# method, statuses, body, address to resolve, URL
ASK = r"""
set -eu
method=$1 expect=$2 body=$3 resolve=$4 url=$5
set -- --silent --insecure --max-time 5 --output /dev/null --write-out '%{http_code}' --resolve "$resolve" --request "$method"
if [ "$method" = HEAD ]; then set -- "$@" --head; fi
if [ -n "$body" ]; then set -- "$@" --header 'Content-Type: application/json' --data "$body"; fi
code=$(curl "$@" "$url") || true
case " $expect " in *" $code "*) ;; *) echo "$method $url answers $code instead of $expect" >&2; exit 1 ;; esac
"""

# folder, address to resolve, URL of the front page. The page before stays what it was when the run is resumed.
KEEP_PAGE = r"""
set -euo pipefail
umask 077
mkdir -p "$1"
if [ -e "$1/page-before" ]; then exit 0; fi
curl --fail --silent --insecure --max-time 10 --resolve "$2" --output "$1/page-before.part" "$3" || : > "$1/page-before.part"
sync "$1/page-before.part"
mv -T "$1/page-before.part" "$1/page-before"
"""

# folder, address to resolve, URL of the front page, container, port
NEW_PAGE = r"""
set -euo pipefail
folder=$1 resolve=$2 url=$3 container=$4 port=$5
fetch() { curl --fail --silent --show-error --insecure --max-time 10 --resolve "$resolve" "$@"; }
page=$(fetch "$url")
address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$container" | cut -d ' ' -f 1)
if [ "$page" != "$(curl --fail --silent --max-time 10 "http://$address:$port/")" ]; then echo "the page served is not the one of the new container" >&2; exit 1; fi
if [ "$page" = "$(cat "$folder/page-before")" ]; then echo "the page served is the same as before: its assets have not changed" >&2; exit 1; fi
assets=$(grep -oE '(src|href)="[^":]+\.(js|css|mjs)[^"]*"' <<< "$page" | cut -d '"' -f 2)
count=0
for asset in $assets; do
  fetch --output /dev/null "${url%/}/${asset#/}" || { echo "$asset is not served" >&2; exit 1; }
  count=$((count + 1))
done
echo "a new page is served, and all its $count assets"
"""
