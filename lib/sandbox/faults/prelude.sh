# What the scripts of the faults share. $FAULT is the fault's name.
set -euo pipefail
cd /opt/pazpaz
kept=/var/lib/practice/faults/$FAULT
export LC_ALL=C

# Like grep -q, but reads its input to the end: under pipefail, a writer that is cut off would count as a failure.
has() { grep -c "$@" >/dev/null; }
compose() { docker compose -f docker-compose.prod.yml --env-file .env.production "$@" </dev/null; }
sql() { docker exec -i pazpaz-db psql -qtAX -v ON_ERROR_STOP=1 -U pazpaz -d "${DB:-pazpaz}" "$@"; }
redis() { docker exec pazpaz-redis sh -c 'REDISCLI_AUTH="$REDIS_PASSWORD" exec redis-cli "$@"' sh "$@"; }
state() { docker inspect -f '{{.State.Status}}' "pazpaz-$1" 2>/dev/null || echo absent; }
health() { docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{end}}' "pazpaz-$1" 2>/dev/null; }

# Wait for containers to be healthy; frontend and worker have health checks that never pass, so they only have to run.
healthy() {
  local service
  for service in "$@"; do
    for _ in $(seq 240); do
      case $service in frontend | arq-worker) [ "$(state "$service")" = running ] && continue 2 ;;
        *) [ "$(health "$service")" = healthy ] && continue 2 ;;
      esac
      sleep 0.25
    done
    echo "$service did not become healthy" >&2
    return 1
  done
}

# Start containers that are stopped, unpause those that are paused, and wait.
revive() {
  local service
  for service in "$@"; do
    [ "$(state "$service")" != paused ] || docker unpause "pazpaz-$service" >/dev/null
    [ "$(state "$service")" = running ] || docker start "pazpaz-$service" >/dev/null
  done
  healthy "$@"
}
recreate() { compose up -d --no-deps --force-recreate --quiet-pull "$@" >/dev/null 2>&1 && healthy "$@"; }
restart() { local s; for s in "$@"; do docker restart -t 5 "pazpaz-$s" >/dev/null; done; healthy "$@"; }

# Remember files before they are changed, and put them back: contents, owner, mode, in place (bind mounts keep theirs).
keep() {
  local file
  for file in "$@"; do
    [ -e "$kept/files/$(realpath "$file")" ] || { mkdir -p "$kept/files" && cp --parents -p "$(realpath "$file")" "$kept/files/"; }
  done
}
give_back() {
  [ -d "$kept/files" ] || return 0
  (cd "$kept/files" && find . -type f -print0) | while IFS= read -r -d '' file; do
    cp -p --no-preserve=timestamps "$kept/files/$file" "/$file"
    touch -r "$kept/files/$file" "/$file"
  done
}
# Change a file in place by a sed expression; one that changes nothing is an error.
edit() {
  local file=$1 changed
  shift
  changed=$(mktemp)
  sed "$@" "$file" >"$changed"
  ! cmp -s "$file" "$changed" || { echo "nothing to change in $file" >&2; rm "$changed"; return 1; }
  cat "$changed" >"$file"
  rm "$changed"
}

volume() { docker volume inspect -f '{{.Mountpoint}}' "pazpaz_$1"; }
dump() { [ -s "$kept/database.dump" ] || docker exec pazpaz-db pg_dump -U pazpaz -F c -Z 1 pazpaz >"$kept/database.dump"; }
# Put the dumped database back under its name, with api and worker stopped meanwhile.
restore() {
  [ -s "$kept/database.dump" ] || return 0
  docker stop -t 5 pazpaz-api pazpaz-arq-worker >/dev/null
  DB=postgres sql -c 'drop database if exists pazpaz with (force)' -c 'create database pazpaz owner pazpaz'
  docker exec -i pazpaz-db pg_restore -U pazpaz -d pazpaz --no-owner --exit-on-error <"$kept/database.dump"
  sql -c 'vacuum (analyze)'
  docker start pazpaz-api pazpaz-arq-worker >/dev/null
  healthy api arq-worker
}
https() { curl -sS -m "${WAIT:-10}" "$@"; }
code() { https -o /dev/null -w '%{http_code}' "https://pazpaz.test$1" 2>/dev/null || true; }
token() {
  jq -n --rawfile p /etc/practice/synthetic_password '{email: "synthetic@pazpaz.test", password: ($p | rtrimstr("\n"))}' \
    | https -H 'Content-Type: application/json' -d @- https://pazpaz.test/api/v1/auth/login | jq -re .access_token
}
# Ask as the synthetic user: as_user PATH [curl options]
as_user() {
  local path=$1 bearer
  shift
  bearer=$(token) || return 1
  https -H "Authorization: Bearer $bearer" "$@" "https://pazpaz.test/api/v1$path"
}
user_code() { as_user "$1" -o /dev/null -w '%{http_code}' "${@:2}" 2>/dev/null || true; }
