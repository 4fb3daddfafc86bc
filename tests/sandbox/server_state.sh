# Prints what the server is like in sorted lines that only differ when something about it differs.
# What changes by itself (times, ids, logs, the audit log, numbers of recreated containers) is left out.
cd /opt/pazpaz
{
  docker inspect -f 'container {{.Name}} {{.Image}} {{.State.Status}} {{.HostConfig.RestartPolicy.Name}} oom={{.State.OOMKilled}} memory={{.HostConfig.Memory}} ports={{json .NetworkSettings.Ports}} networks={{len .NetworkSettings.Networks}}
' $(docker ps -aq)
  docker inspect -f '{{.Name}}{{range .Config.Env}} {{.}}{{end}}' $(docker ps -aq) | while read -r name words; do
    echo "environment $name $(printf %s "$words" | tr ' ' '\n' | sort | sha256sum)"
  done
  docker images --no-trunc --format 'image {{.Repository}}:{{.Tag}} {{.ID}}'
  docker volume ls --format 'volume {{.Name}}'
  find docker-compose.prod.yml .env.production nginx scripts backend backups logs /etc/ssh/sshd_config.d /etc/sudoers.d /etc/cron.d \
    /home/pazpaz/.ssh /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/letsencrypt/live /etc/letsencrypt/archive /etc/letsencrypt/renewal \
    -printf 'path %p %y %m %u %g\n'
  find docker-compose.prod.yml .env.production nginx scripts backend backups /etc/ssh/sshd_config.d /etc/sudoers.d /etc/cron.d /home/pazpaz/.ssh \
    /etc/passwd /etc/shadow /etc/letsencrypt/archive /etc/letsencrypt/renewal -type f -exec sha256sum {} + | sed 's/^/contents /'
  find backups -type f -printf 'written %p %T@\n'
  sshd -T | grep -E '^(passwordauthentication|permitrootlogin|permitemptypasswords) ' | sed 's/^/sshd /'
  ufw status | sed 's/^/firewall /'
  systemctl list-units --failed --plain --no-legend | sed 's/^/failed /'
  for unit in docker docker-registry ssh certbot.timer pazpaz-backup.timer; do
    echo "unit $unit $(systemctl is-active $unit) $(systemctl is-enabled $unit 2>/dev/null)"
  done
  findmnt -rno TARGET,OPTIONS | grep -E '/opt/pazpaz|/var/lib/practice' | sed 's/^/mount /'
  ss -Hltn | awk '$4 !~ /^127.0.0.1:[3-6][0-9][0-9][0-9][0-9]$/ {print "listens", $4}' # containerd's own port varies
  ls -d /run/reboot-required* 2>/dev/null
  ps -eo args= | grep -E '[p]ractice[-_](hog|wait|unknown|conflict|listener)|[s]leep 86417' | sed 's/^/process /'
  docker exec -i pazpaz-db psql -qtAX -U pazpaz -d pazpaz <<'SQL'
select 'user ' || email || ' ' || active from users;
select 'rows attachments ' || count(*) from attachments;
select 'revision ' || version_num from alembic_version;
select 'contents of clients ' || count(*) || ' ' || md5(string_agg(md5(c::text), '' order by id)) from clients c;
select 'contents of appointments ' || count(*) || ' ' || md5(string_agg(a::text, '' order by id)) from appointments a;
select 'setting ' || name || ' ' || setting from pg_file_settings where sourcefile like '%auto.conf';
select 'role setting ' || setconfig::text from pg_db_role_setting;
select 'index ' || indexdef from pg_indexes where schemaname = 'public';
select 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n';
select 'sequence ' || sequencename || ' ' || max_value from pg_sequences;
select 'session ' || application_name || ' ' || state from pg_stat_activity where application_name = 'practice';
SQL
  docker exec pazpaz-db sh -c 'PGPASSWORD="$POSTGRES_PASSWORD" psql -qtAX "host=localhost sslmode=require user=pazpaz dbname=pazpaz" -c "select 1"' | sed 's/^/password works /'
  docker exec pazpaz-redis sh -c 'export REDISCLI_AUTH="$REDIS_PASSWORD"
    for name in maxmemory maxmemory-policy min-replicas-to-write; do redis-cli config get $name | paste -sd " "; done
    redis-cli keys "login-failures:synthetic*"; redis-cli zcard arq:queue' | sed 's/^/redis /'
  docker exec -i pazpaz-api python3 - <<'PYTHON'
from pazpaz.settings import load_settings
from pazpaz.storage import Storage
storage = Storage(load_settings())
for found in storage.client.list_objects(storage.bucket, recursive=True):
    print("object", found.object_name, found.size, found.etag)
PYTHON
  lsattr -d "$(docker volume inspect -f '{{.Mountpoint}}' pazpaz_minio_data)/objects" | cut -c1-20
  docker exec pazpaz-clamav sh -c 'sha256sum /var/lib/clamav/*' | sed 's/^/signatures /'
  docker exec pazpaz-api cat /etc/resolv.conf | grep nameserver
  docker exec pazpaz-nginx nginx -T 2>/dev/null | sha256sum | sed 's/^/nginx /'
  docker exec pazpaz-frontend sh -c 'find /usr/share/nginx/html -type f -exec sha256sum {} +' | sed 's/^/site /'
  openssl s_client -connect 127.0.0.1:443 -servername pazpaz.test </dev/null 2>/dev/null | openssl x509 -noout -serial | sed 's/^/served /'
  ls /var/lib/practice/faults 2>/dev/null | sed 's/^/fault /'
} 2>&1 | sort
