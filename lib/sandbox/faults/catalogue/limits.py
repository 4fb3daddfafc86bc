"""What a part refuses or cannot do by its own settings and limits, while it runs and is called healthy."""

from sandbox.faults.catalogue.proxy import BRING_BACK, CONF, RELOAD
from sandbox.faults.fault import Fault


def _nginx(name: str, title: str, symptom: str, *words: str) -> Fault:
    """A change of the web server's configuration that it has read; `words` are the sed script and a mark of it."""
    sed, mark = words
    inject = f"keep {CONF}\nedit {CONF} '{sed}'\n{RELOAD}"
    return Fault(
        name=name, title=title, symptom=symptom, inject=inject, mend=BRING_BACK, evidence=f"grep -q '{mark}' {CONF}"
    )


def _redis(name: str, title: str, symptom: str, *scripts: str) -> Fault:
    """A setting of Redis that is made while it runs; `scripts` are inject, mend and evidence."""
    inject, mend, evidence = scripts
    return Fault(name=name, title=title, symptom=symptom, inject=inject, mend=mend, evidence=evidence)


def _environment(name: str, title: str, symptom: str, *setting: str) -> Fault:
    """A variable that is wrong in the file and in the api's container; `setting` is its name and its value."""
    variable, value = setting
    return Fault(
        name=name,
        title=title,
        symptom=symptom,
        inject=f"keep .env.production\nsed -i '/^{variable}=/d' .env.production; echo '{variable}={value}' >>.env.production\nrecreate api arq-worker",
        mend="give_back; recreate api arq-worker",
        evidence=f"docker inspect -f '{{{{json .Config.Env}}}}' pazpaz-api | has '{variable}={value}'",
    )


def _alter(name: str, title: str, symptom: str, *scripts: str) -> Fault:
    """A change in the database that new sessions meet; `scripts` are inject, mend and evidence."""
    inject, mend, evidence = scripts
    end = (
        "sql -c \"select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pazpaz'\" >/dev/null"
    )
    return Fault(
        name=name, title=title, symptom=symptom, inject=f"{inject}\n{end}", mend=f"{mend}\n{end}", evidence=evidence
    )


FAULTS = (
    _nginx("proxy-forbids-uploads", "a rule of nginx forbids the path of the attachments", "uploads and downloads are forbidden",
           "s#^        location /api/ {#        location /api/v1/attachments { deny all; }\\n&#", "deny all"),
    _nginx("proxy-rate-limit", "nginx lets one request a minute through to the api", "most requests end in 503",
           "s#^    server_tokens off;#&\\n    limit_req_zone $server_name zone=all:1m rate=1r/m;#; s#^        location /api/ {#&\\n            limit_req zone=all;#", "limit_req_zone"),
    _nginx("proxy-asks-password", "nginx asks for a password in front of everything", "browsers ask for a name and a password",
           "s#^        location / {\\n            set#&#; s#^        server_name pazpaz.test;#&\\n        auth_basic practice; auth_basic_user_file /dev/null;#", "auth_basic"),
    _nginx("proxy-impatient", "nginx waits a millisecond for an answer of the api", "504 Gateway Time-out",
           "s#proxy_read_timeout 30s#proxy_read_timeout 1ms#", "proxy_read_timeout 1ms"),
    _nginx("proxy-fails-sometimes", "nginx answers two of three requests to the api with 500 itself", "every other click fails",
           's#^        location /api/ {#&\\n            if ($request_id ~ "^[0-9]") { return 500; }#', "return 500"),
    _redis("redis-password-changed", "Redis wants another password than the application has", "logins and jobs fail",
           "redis config set requirepass practice-other >/dev/null; docker exec pazpaz-redis redis-cli -a practice-other --no-auth-warning client kill type normal >/dev/null",
           "docker exec pazpaz-redis sh -c 'redis-cli -a practice-other --no-auth-warning config set requirepass \"$REDIS_PASSWORD\"' >/dev/null 2>&1 || true",
           "docker exec pazpaz-redis redis-cli -a practice-other --no-auth-warning ping | has PONG"),
    _redis("redis-is-a-replica", "Redis was made a replica of a server that does not exist", "logins and jobs fail",
           "redis replicaof 192.0.2.1 6379 >/dev/null", "redis replicaof no one >/dev/null", "redis info replication | has 'role:slave'"),
    _redis("redis-few-clients", "Redis takes three clients", "logins and jobs fail now and then",
           "redis config set maxclients 3 >/dev/null; redis client kill type normal >/dev/null || true",
           "docker restart -t 5 pazpaz-redis >/dev/null; healthy redis", "{ redis config get maxclients || echo 3; } | has '^3$\\|max number'"),
    _redis("redis-rights-lost", "Redis lets its user read, and write no more", "logins and jobs fail",
           "redis acl setuser default -@write >/dev/null", "redis acl setuser default +@all >/dev/null", "redis acl list | has -- '-@write'"),
    _redis("redis-holds-writes", "Redis holds back every write of its clients", "logins hang",
           "redis client pause 3600000 write >/dev/null", "redis client unpause >/dev/null", "! timeout 3 docker exec pazpaz-redis sh -c 'REDISCLI_AUTH=$REDIS_PASSWORD redis-cli publish practice x' >/dev/null"),
    _redis("queue-of-another-kind", "what lies under the name of the queue is a text", "jobs cannot be queued",
           "redis del arq:queue >/dev/null; redis set arq:queue practice >/dev/null", "redis del arq:queue >/dev/null", "redis type arq:queue | has string"),
    _alter("search-path-changed", "sessions begin with a search path without the tables", "logins fail; the database is healthy",
           "sql -c 'alter role pazpaz in database pazpaz set search_path = nowhere'", "sql -c 'alter role pazpaz in database pazpaz reset search_path'",
           "sql -c \"select 1 from pg_db_role_setting, unnest(setconfig) c where c like 'search_path=nowhere%'\" | has 1"),
    _alter("standby-awaited", "every change waits for a standby that does not exist", "logins and everything that writes hang",
           "sql -c \"alter system set synchronous_standby_names = 'nobody'\" -c 'select pg_reload_conf()' >/dev/null; sleep 1",
           "sql -c 'set synchronous_commit = off' -c 'alter system reset synchronous_standby_names' -c 'select pg_reload_conf()' >/dev/null; sleep 1",
           "sql -c 'show synchronous_standby_names' | has nobody"),
    _alter("database-turns-away", "a rule of pg_hba.conf turns away everybody from the network", "logins fail; the database is healthy",
           "hba=$(sql -c 'show hba_file'); docker exec pazpaz-db cat \"$hba\" >\"$kept/hba\"; { echo 'host all all all reject'; cat \"$kept/hba\"; } | docker exec -i pazpaz-db sh -c \"cat >$hba\"; sql -c 'select pg_reload_conf()' >/dev/null; sleep 1",
           "[ ! -s \"$kept/hba\" ] || { hba=$(sql -c 'show hba_file'); docker exec -i pazpaz-db sh -c \"cat >$hba\" <\"$kept/hba\"; sql -c 'select pg_reload_conf()' >/dev/null; sleep 1; }",
           "sql -c \"select 1 from pg_hba_file_rules where auth_method = 'reject'\" | has 1"),
    _alter("numbers-begin-anew", "the numbers of the audit log begin at one again, and collide", "logins fail with 500",
           "sql -c \"select setval('audit_log_id_seq', 1)\" >/dev/null", "sql -c \"select setval('audit_log_id_seq', (select max(id) from audit_log))\" >/dev/null",
           "[ \"$(sql -c 'select (select last_value from audit_log_id_seq) < (select max(id) from audit_log)')\" = t ]"),
    _alter("column-renamed", "a column of the clients was renamed", "lists of clients fail with 500",
           "sql -c 'alter table clients rename column name to full_name'", "sql -c 'alter table clients rename column full_name to name' 2>/dev/null || true",
           "sql -c \"select 1 from information_schema.columns where table_name = 'clients' and column_name = 'full_name'\" | has 1"),
    _alter("trigger-refuses", "a trigger refuses every new client", "new clients cannot be entered",
           "sql -c \"create function practice_refuse() returns trigger language plpgsql as 'begin raise exception ''practice: not today''; end'\" -c 'create trigger practice_refuse before insert on clients for each row execute function practice_refuse()'",
           "sql -c 'drop function if exists practice_refuse() cascade' 2>/dev/null", "sql -c \"select 1 from pg_trigger where tgname = 'practice_refuse'\" | has 1"),
    Fault(
        name="few-processes", title="pazpaz-api may have no more processes and threads than it has", symptom="answers fail now and then",
        inject="docker update --pids-limit $(cat /sys/fs/cgroup/pids/docker/$(docker inspect -f '{{.Id}}' pazpaz-api)/pids.current 2>/dev/null || cat /proc/$(docker inspect -f '{{.State.Pid}}' pazpaz-api)/root/sys/fs/cgroup/pids.current) pazpaz-api >/dev/null",
        mend="docker update --pids-limit 0 pazpaz-api >/dev/null 2>&1 || docker update --pids-limit -1 pazpaz-api >/dev/null; recreate api",
        evidence="[ \"$(docker inspect -f '{{.HostConfig.PidsLimit}}' pazpaz-api)\" -gt 0 ] 2>/dev/null",
    ),
    Fault(
        name="shared-memory-full", title="the shared memory of pazpaz-db is full", symptom="large queries fail",
        inject="docker exec pazpaz-db sh -c 'dd if=/dev/zero of=/dev/shm/practice bs=1M count=256 2>/dev/null; true'",
        mend="docker exec pazpaz-db rm -f /dev/shm/practice", evidence="docker exec pazpaz-db test -e /dev/shm/practice",
    ),
    _environment("bucket-misnamed", "the api is told to use a bucket that does not exist", "uploads and downloads fail", "S3_BUCKET", "pazpaz-atachments"),
    _environment("scanner-port-wrong", "the api asks the virus scanner at a port where nothing listens", "uploads fail", "CLAMAV_PORT", "3311"),
    _environment("scanner-misnamed", "the api is told to use a scanner that does not exist", "uploads fail", "CLAMAV_HOST", "clamv"),
    _environment("tokens-expire-at-once", "the tokens of logins hold for no second", "users are logged out at once", "TOKEN_LIFETIME_S", "0"),
    _environment("uploads-limited", "the api takes no upload above a thousand bytes", "uploads are refused", "UPLOAD_LIMIT_BYTES", "1000"),
)  # fmt: skip
