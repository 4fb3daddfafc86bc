# Restore a dump into a database of its own, made anew. Nothing else is touched. Where it was done already, nothing happens.
# Arguments: container, role, database to take owner and locale from, database to make, dump, its SHA-256, format, processes
set -euo pipefail
exec </dev/null
container=$1 role=$2 like=$3 new=$4 dump=$5 sum=$6 format=$7 processes=$8
if [ "$sum" = beside ]; then sum=$(head -c 64 "$dump.sha256"); fi
limits='-c statement_timeout=0 -c lock_timeout=0 -c client_min_messages=warning'
in_container() { docker exec -i -e "PGOPTIONS=$limits" -e PGAPPNAME=runbook-restore "$container" "$@"; }
ask() { in_container psql -qAtX -v ON_ERROR_STOP=1 -v like="$like" -v new="$new" -v sum="$sum" -U "$role" "$@"; }
said=$(ask -d postgres <<'SQL'
select shobj_description(oid, 'pg_database') from pg_database where datname = :'new';
SQL
)
case "$said" in "runbook: restored $sum"|"runbook: proven $sum") echo "$new is there already, restored from this dump"; exit 0 ;; esac
found=$(sha256sum < "$dump" | cut -d ' ' -f 1)
if [ "$found" != "$sum" ]; then echo "$dump has changed since it was looked at: its SHA-256 is $found, not $sum" >&2; exit 1; fi
inside=/var/tmp/runbook-restore-$new
clean() { docker exec "$container" rm -rf "$inside" || true; }
trap clean EXIT
# what an attempt that was cut off has left is dropped; the encoding and locale are those of the database that it will stand for
ask -d postgres <<'SQL'
select pg_terminate_backend(pid) from pg_stat_activity where datname = :'new' \g /dev/null
drop database if exists :"new" with (force);
select format('create database %I template template0 owner %I encoding %L', :'new', pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding))
  || case datlocprovider when 'c' then '' when 'i' then format(' locale_provider icu icu_locale %L', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'))
       else format(' locale_provider builtin builtin_locale %L', to_jsonb(d)->>'datlocale') end
  || format(' lc_collate %L lc_ctype %L', datcollate, datctype)
from pg_database d where datname in (:'like', 'postgres') order by datname = :'like' desc limit 1 \gexec
SQL
case "$format" in
  directory)
    docker exec -i "$container" sh -c 'rm -rf "$1" && mkdir -m 700 "$1" && exec tar -C "$1" -xf -' unpack "$inside" < "$dump"
    in_container pg_restore -U "$role" -d "$new" -F d -j "$processes" --exit-on-error "$inside" ;;
  *)
    if [ "$processes" -gt 1 ]; then
      # several processes need a file that they can seek in
      docker exec -i "$container" sh -c 'umask 077; exec cat > "$1"' copy "$inside" < "$dump"
      in_container pg_restore -U "$role" -d "$new" -j "$processes" --exit-on-error "$inside"
    else
      in_container pg_restore -U "$role" -d "$new" --exit-on-error < "$dump"
    fi ;;
esac
ask -d "$new" -c 'analyze'
ask -d postgres <<'SQL'
select format('comment on database %I is %L', :'new', 'runbook: restored ' || :'sum') \gexec
SQL
echo "$new: restored from ${dump##*/}"
