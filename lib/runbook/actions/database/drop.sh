# Drop a database that this program made (its name says so). Arguments: container, role, database
set -euo pipefail
exec </dev/null
docker exec -i "$1" psql -qAtX -v ON_ERROR_STOP=1 -v name="$3" -U "$2" -d postgres <<'SQL'
drop database if exists :"name" with (force);
SQL
echo "$3 is gone"
