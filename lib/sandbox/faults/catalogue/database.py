"""PostgreSQL: data that is gone, locked, refused, slow or unreadable."""

from sandbox.faults.fault import Fault

_SETTING = "sql -c \"alter system set {0}\" && sql -c 'select pg_reload_conf()' >/dev/null && sleep 0.5"
_UNSET = "sql -c 'alter system reset {0}' && sql -c 'select pg_reload_conf()' >/dev/null && sleep 0.5"
_REWRITE = "\nfor _ in 1 2; do sql -c 'update appointments set notes = notes'; done"
_END_SESSIONS = """
sql -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'practice'" >/dev/null || true
docker exec pazpaz-db pkill -f "sleep 86417" || true
"""

FAULTS = (
    Fault(
        name="table-dropped",
        title="the table clients is gone",
        symptom="the list of clients answers 500; health and readiness say ok",
        inject="dump; sql -c 'drop table clients cascade'",
        mend="restore",
        evidence="""[ "$(sql -c "select to_regclass('public.clients') is null")" = t ]""",
        sample=True,
        moves_data=True,
    ),
    Fault(
        name="table-emptied",
        title="every appointment is gone, the table is still there",
        symptom="the calendar is empty; nothing fails",
        inject="dump; sql -c 'truncate appointments'",
        mend="restore",
        evidence='[ "$(sql -c "select count(*) from appointments")" -lt 100 ]',
        moves_data=True,
    ),
    Fault(
        name="page-corrupted",
        title="a page of the table clients does not match its checksum",
        symptom="the list of clients answers 500 for staff; health and readiness say ok",
        inject="""
file=$(volume postgres_data)/$(sql -c "select pg_relation_filepath('clients')")
sql -c checkpoint
docker stop -t 20 pazpaz-db >/dev/null
cp -p "$file" "$kept/page" && echo "$file" >"$kept/file"
dd if=/dev/urandom of="$file" bs=1 seek=100 count=2000 conv=notrunc status=none
docker start pazpaz-db >/dev/null
healthy db
""",
        mend="""
if [ -s "$kept/file" ]; then
  docker stop -t 20 pazpaz-db >/dev/null
  cp -p "$kept/page" "$(cat "$kept/file")"
  revive db
fi
""",
        evidence="! sql -c 'select count(medical_notes) from clients' >/dev/null 2>&1",
        moves_data=True,
    ),
    Fault(
        name="database-read-only",
        title="every new transaction is read-only",
        symptom="reading works, every change answers 500; health and readiness say ok",
        inject=_SETTING.format("default_transaction_read_only = on"),
        mend="export PGOPTIONS='-c default_transaction_read_only=off'\n"
        "docker exec -e PGOPTIONS pazpaz-db psql -qX -U pazpaz -d pazpaz -c 'alter system reset default_transaction_read_only' "
        "-c 'select pg_reload_conf()' >/dev/null && sleep 0.5",
        evidence='[ "$(sql -c "show default_transaction_read_only")" = on ]',
        sample=True,
    ),
    Fault(
        name="statement-timeout",
        title="every query of the application is cancelled after 1 ms",
        symptom="most requests answer 500 or 503; the process is alive",
        inject="sql -c \"alter role pazpaz in database pazpaz set statement_timeout = '1ms'\" && restart api",
        mend="docker exec -e PGOPTIONS='-c statement_timeout=0' pazpaz-db psql -qX -U pazpaz -d postgres "
        "-c 'alter role pazpaz in database pazpaz reset statement_timeout' && restart api",
        evidence="""DB=postgres sql -c "select 'found' from pg_db_role_setting where setconfig::text like '%statement_timeout%'" | has found""",
    ),
    Fault(
        name="table-locked",
        title="a forgotten session holds an exclusive lock on clients",
        symptom="whoever reads clients hangs; health and readiness say ok",
        inject="""
docker exec -d -e PGAPPNAME=practice pazpaz-db sh -c \
  '{ echo "begin; lock table clients in access exclusive mode;"; exec sleep 86417; } | psql -q -U pazpaz -d pazpaz'
for _ in $(seq 50); do
  [ "$(sql -c "select count(*) from pg_stat_activity where application_name = 'practice' and state = 'idle in transaction'")" = 1 ] && break
  sleep 0.1
done
""",
        mend=_END_SESSIONS,
        evidence="""[ "$(sql -c "select count(*) from pg_stat_activity where application_name = 'practice' and state = 'idle in transaction'")" -ge 1 ]""",
        sample=True,
    ),
    Fault(
        name="connections-exhausted",
        title="something holds every connection that the database allows",
        symptom="login answers 503 as soon as the application needs a new connection",
        inject="""
sql -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pazpaz'" >/dev/null
docker exec -d pazpaz-api python3 -c 'practice_hog = "connections"
import asyncio, asyncpg, os, ssl
async def hold():
    url = os.environ["DATABASE_URL"].replace("+asyncpg", "")
    context = ssl.create_default_context(cafile=os.environ["DB_SSL_CA"])
    held = []
    while True:
        try:
            held.append(await asyncpg.connect(url, ssl=context, server_settings={"application_name": "practice"}))
        except asyncpg.PostgresError:
            await asyncio.sleep(1)
asyncio.run(hold())'
for _ in $(seq 150); do sql -c 'select 1' >/dev/null 2>&1 || break; sleep 0.2; done
sleep 1
""",
        mend="docker exec -u 0 pazpaz-api pkill -f practice_hog || true; sleep 1",
        evidence="! sql -c 'select 1' >/dev/null 2>&1",
    ),
    Fault(
        name="wrong-database-password",
        title="the application was started with a password that the database does not know",
        symptom="login answers 503; /api/v1/health says ok",
        inject="""
keep .env.production
edit .env.production -E 's#^(DATABASE_URL=[^:]+://[^:]+:)[^@]+@#\\1mistyped@#'
recreate api
""",
        mend="give_back; recreate api",
        evidence="docker inspect -f '{{json .Config.Env}}' pazpaz-api | has ':mistyped@'",
    ),
    Fault(
        name="database-password-changed",
        title="the role's password was changed in the database and nowhere else",
        symptom="nothing until the application opens a new connection, then 503",
        inject="""
sql -c "alter role pazpaz password '$(openssl rand -hex 12)'"
sql -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pazpaz'" >/dev/null
""",
        mend="""
password=$(sed -n 's/^POSTGRES_PASSWORD=//p' .env.production)
printf "alter role pazpaz password '%s';\\n" "$password" | docker exec -i pazpaz-db psql -qX -U pazpaz -d pazpaz
""",
        evidence="""
! docker exec pazpaz-db sh -c 'PGPASSWORD="$POSTGRES_PASSWORD" psql -qtAX "host=localhost sslmode=require user=pazpaz dbname=pazpaz" -c "select 1"' >/dev/null 2>&1
""",
    ),
    Fault(
        name="writes-refused",
        title="the audit log's numbers are used up, and every change writes an audit line",
        symptom="reading works, every change answers 500; health and readiness say ok",
        inject="""
sql -c "insert into audit_log (action, subject) select 'practice', 'numbers used up' from generate_series(1, 2)"
last=$(sql -c "select last_value from pg_sequences where sequencename = 'audit_log_id_seq'")
sql -c "alter table audit_log alter column id set maxvalue $last"
""",
        mend="sql -c 'alter table audit_log alter column id set no maxvalue' "
        "-c \"delete from audit_log where action = 'practice'\"",
        evidence="""[ "$(sql -c "select max_value < 1000000000 from pg_sequences where sequencename = 'audit_log_id_seq'")" = t ]""",
    ),
    Fault(
        name="index-missing",
        title="the index that the calendar needs is gone",
        symptom="the calendar is slower, more so with every appointment",
        inject="sql -c 'drop index appointments_starts_at_idx'",
        mend="sql -c 'create index if not exists appointments_starts_at_idx on appointments (starts_at)'",
        evidence="""[ "$(sql -c "select to_regclass('public.appointments_starts_at_idx') is null")" = t ]""",
    ),
    Fault(
        name="table-bloated",
        title="autovacuum is off and most of the table appointments is dead rows",
        symptom="the database grows, queries get slower",
        inject=_SETTING.format("autovacuum = off") + _REWRITE,
        mend=_UNSET.format("autovacuum") + "\nsql -c 'vacuum (full, analyze) appointments'",
        evidence="""[ "$(sql -c "select n_dead_tup > 50000 from pg_stat_user_tables where relname = 'appointments'")" = t ]""",
    ),
    Fault(
        name="revision-behind",
        title="the database says it is one migration behind the application",
        symptom="nothing yet; the next upgrade fails",
        inject="sql -c 'select version_num from alembic_version' >\"$kept/revision\" && sql -c \"update alembic_version set version_num = '0002'\"",
        mend='[ ! -s "$kept/revision" ] || sql -c "update alembic_version set version_num = \'$(cat "$kept/revision")\'"',
        evidence='[ "$(sql -c "select version_num from alembic_version")" = 0002 ]',
    ),
    Fault(
        name="wrong-encryption-key",
        title="the application runs with another master key than the one its notes are sealed with",
        symptom="reading a client from before answers 500; new ones work; health and readiness say ok",
        inject="""
keep .env.production
edit .env.production "s#^ENCRYPTION_MASTER_KEY=.*#ENCRYPTION_MASTER_KEY=$(openssl rand -base64 32 | tr '+/' '-_')#"
recreate api arq-worker
""",
        mend="give_back; recreate api arq-worker",
        evidence="""
used=$(docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' pazpaz-api | sed -n 's/^ENCRYPTION_MASTER_KEY=//p' | tr -d '\\n')
id=$(printf 'pazpaz key id:%s' "$used" | sha256sum | cut -c1-8)
[ "$(sql -c "select count(*) from clients where medical_notes like 'v1.$id.%'")" = 0 ]
""",
    ),
)
