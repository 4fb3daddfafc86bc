# Bring a restored database, which nobody uses yet, up to the revision that the running release works with.
# Arguments: container of the api, database container, role, restored database, revision, then the words of `docker compose run` for the api
set -euo pipefail
exec </dev/null
api=$1 container=$2 role=$3 new=$4 revision=$5
shift 5
# the address with its password stays in the container's own environment: only the database's name in it is another one
inside='case $DATABASE_URL in *\?*) rest="?${DATABASE_URL#*\?}" ;; *) rest= ;; esac; address=${DATABASE_URL%%\?*}; DATABASE_URL="${address%/*}/$0$rest" exec alembic upgrade "$1"'
if [ "$(docker inspect --format '{{.State.Running}}' "$api" 2>/dev/null)" = true ]; then
  docker exec "$api" sh -c "$inside" "$new" "$revision"
else
  "$@" sh -c "$inside" "$new" "$revision"
fi
at=$(docker exec "$container" psql -qAtX -U "$role" -d "$new" -c 'select version_num from alembic_version')
if [ "$at" != "$revision" ]; then echo "$new is at revision $at, not $revision" >&2; exit 1; fi
echo "$new is at revision $at"
