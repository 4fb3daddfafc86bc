"""Containers that stop, hang, starve, restart, or should not be there."""

from sandbox.faults.fault import Fault


def _stopped(service: str, symptom: str, *, sample: bool = False) -> Fault:
    return Fault(
        name=f"{service}-stopped",
        title=f"the container pazpaz-{service} is stopped",
        symptom=symptom,
        inject=f"docker stop -t 5 pazpaz-{service} >/dev/null",
        mend=f"revive {service}",
        evidence=f'[ "$(state {service})" = exited ]',
        sample=sample,
    )


def _paused(service: str, symptom: str, *, sample: bool = False) -> Fault:
    return Fault(
        name=f"{service}-paused",
        title=f"every process in pazpaz-{service} is frozen",
        symptom=symptom,
        inject=f"docker pause pazpaz-{service} >/dev/null",
        mend=f"revive {service}",
        evidence=f'[ "$(state {service})" = paused ]',
        sample=sample,
    )


FAULTS = (
    _stopped("api", "502 or 504 for everything under /api/; the front page still loads", sample=True),
    _stopped("nginx", "nothing answers on ports 80 and 443"),
    _stopped("frontend", "502 or 504 for the front page; the API works"),
    _stopped("db", "login answers 503; /api/v1/health still says ok"),
    _stopped("redis", "login answers 503, jobs cannot be queued; data is readable with a token"),
    _stopped("minio", "uploads and downloads answer 503"),
    _stopped("clamav", "uploads answer 503"),
    _stopped("arq-worker", "jobs stay queued for ever"),
    _paused("db", "whoever reads hangs; /api/v1/health still says ok", sample=True),
    _paused("redis", "login hangs"),
    _paused("minio", "uploads and downloads hang for some seconds, then fail"),
    _paused("clamav", "uploads hang for 20 s, then answer 503"),
    _paused("arq-worker", "jobs stay queued for ever, while docker says the container is up"),
    _paused("api", "everything under /api/ hangs until nginx gives up"),
    Fault(
        name="unknown-container",
        title="a container runs that is none of the eight",
        symptom="nothing, for the users",
        inject="docker run -d --pull never --name practice-visitor --restart unless-stopped --entrypoint sleep "
        "localhost:5000/nginx:1.26 infinity >/dev/null",
        mend="docker rm -f practice-visitor >/dev/null 2>&1 || true",
        evidence='[ "$(docker inspect -f "{{.State.Running}}" practice-visitor 2>/dev/null)" = true ]',
        sample=True,
    ),
    Fault(
        name="api-restart-loop",
        title="the api dies at every start, because SECRET_KEY is missing",
        symptom="502 for everything under /api/; the container is restarting",
        inject="""
keep .env.production
edit .env.production '/^SECRET_KEY=/d'
compose up -d --no-deps --force-recreate api >/dev/null 2>&1
for _ in $(seq 60); do [ "$(docker inspect -f '{{.RestartCount}}' pazpaz-api)" -ge 2 ] && break; sleep 0.5; done
""",
        mend="give_back; recreate api",
        evidence='[ "$(docker inspect -f "{{.RestartCount}}" pazpaz-api)" -ge 1 ] && [ "$(code /api/v1/health)" != 200 ]',
    ),
    Fault(
        name="worker-restart-loop",
        title="the worker dies at every start, because ENCRYPTION_MASTER_KEY is missing in its environment",
        symptom="jobs stay queued for ever; the container is restarting",
        inject="""
keep .env.production
edit .env.production '/^ENCRYPTION_MASTER_KEY=/d'
compose up -d --no-deps --force-recreate arq-worker >/dev/null 2>&1
for _ in $(seq 60); do [ "$(docker inspect -f '{{.RestartCount}}' pazpaz-arq-worker)" -ge 2 ] && break; sleep 0.5; done
give_back
""",
        mend="give_back; recreate arq-worker",
        evidence='[ "$(docker inspect -f "{{.RestartCount}}" pazpaz-arq-worker)" -ge 1 ]',
    ),
    Fault(
        name="api-crashed-lately",
        title="the api's process died three times and was restarted each time",
        symptom="short outages that are over; the restart count tells of them",
        inject="""
for number in 1 2 3; do
  docker exec -u 0 pazpaz-api sh -c 'kill -KILL $(pgrep -f [u]vicorn)'
  for _ in $(seq 100); do [ "$(docker inspect -f '{{.RestartCount}}' pazpaz-api)" -ge $number ] && break; sleep 0.2; done
  healthy api
done
""",
        mend="recreate api",
        evidence='[ "$(docker inspect -f "{{.RestartCount}}" pazpaz-api)" -ge 3 ]',
    ),
    Fault(
        name="api-cpu-hog",
        title="a process in pazpaz-api burns a whole processor",
        symptom="answers are slower",
        inject="docker exec -d pazpaz-api python3 -c 'practice_hog = True\nwhile practice_hog: pass'",
        mend="docker exec -u 0 pazpaz-api pkill -f practice_hog || true",
        evidence="docker exec pazpaz-api pgrep -f practice_hog >/dev/null",
    ),
    Fault(
        name="api-memory-hog",
        title="a process in pazpaz-api holds most of the memory that the container may have",
        symptom="nothing yet; the next large upload can end in an out-of-memory kill",
        inject="""
limit=$(docker inspect -f '{{.HostConfig.Memory}}' pazpaz-api)
docker exec -d pazpaz-api python3 -c "practice_hog = b'x' * ($limit * 74 // 100)
import time
time.sleep(86400)"
sleep 2
""",
        mend="docker exec -u 0 pazpaz-api pkill -f practice_hog || true",
        evidence="docker exec pazpaz-api pgrep -f practice_hog >/dev/null",
    ),
    Fault(
        name="api-out-of-memory",
        title="a process in pazpaz-api was killed because memory ran out",
        symptom="a request that failed; docker remembers the kill while the container runs on",
        inject="""
docker exec pazpaz-api python3 -c 'hoard = []
while True: hoard.append(b"x" * 10_000_000)' && exit 1
healthy api
""",
        mend="restart api",
        evidence='[ "$(docker inspect -f "{{.State.OOMKilled}}" pazpaz-api)" = true ]',
    ),
    Fault(
        name="api-starved",
        title="pazpaz-api may only use a fiftieth of a processor",
        symptom="every answer takes seconds; logins run into timeouts",
        inject="docker update --cpu-period 100000 --cpu-quota 2000 pazpaz-api >/dev/null",
        mend="recreate api",
        evidence='[ "$(docker inspect -f "{{.HostConfig.CpuQuota}}" pazpaz-api)" = 2000 ]',
    ),
    Fault(
        name="restart-policy-off",
        title="pazpaz-db would not come back after a crash or a reboot",
        symptom="nothing until the next reboot",
        inject="docker update --restart=no pazpaz-db >/dev/null",
        mend="docker update --restart=unless-stopped pazpaz-db >/dev/null",
        evidence='[ "$(docker inspect -f "{{.HostConfig.RestartPolicy.Name}}" pazpaz-db)" = no ]',
    ),
    Fault(
        name="image-differs",
        title="the api runs an image that no registry knows, under the tag of the released one",
        symptom="nothing, for the users: somebody's hand-made change is in production",
        inject="""
image=$(docker inspect -f '{{.Config.Image}}' pazpaz-api)
docker inspect -f '{{.Image}}' pazpaz-api >"$kept/image"
docker commit pazpaz-api "$image" >/dev/null
recreate api
""",
        mend="""
image=$(docker inspect -f '{{.Config.Image}}' pazpaz-api)
changed=$(docker image inspect -f '{{.Id}}' "$image")
if [ -s "$kept/image" ] && [ "$changed" != "$(cat "$kept/image")" ]; then
  docker tag "$(cat "$kept/image")" "$image"
  recreate api
  docker rmi "$changed" >/dev/null
fi
""",
        evidence="""
digests=$(docker image inspect -f '{{join .RepoDigests " "}}' "$(docker inspect -f '{{.Image}}' pazpaz-api)")
[ -z "$digests" ]
""",
    ),
    Fault(
        name="minio-disconnected",
        title="pazpaz-minio is cut off from the stack's network",
        symptom="uploads and downloads answer 503; the container is healthy",
        inject="docker network disconnect pazpaz_default pazpaz-minio",
        mend="recreate minio",
        evidence='[ "$(docker inspect -f "{{len .NetworkSettings.Networks}}" pazpaz-minio)" = 0 ]',
    ),
    Fault(
        name="dns-broken",
        title="names of other containers cannot be resolved in pazpaz-api",
        symptom="login and everything behind it fail or hang; /api/v1/health says ok",
        inject="""
docker exec pazpaz-api cat /etc/resolv.conf >"$kept/resolv.conf"
docker exec -u 0 pazpaz-api sh -c 'echo nameserver 192.0.2.1 >/etc/resolv.conf'
sql -c "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pazpaz'" >/dev/null
docker exec pazpaz-redis sh -c 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli client kill type normal' >/dev/null
""",
        mend="""[ ! -s "$kept/resolv.conf" ] || docker exec -i -u 0 pazpaz-api sh -c 'cat >/etc/resolv.conf' <"$kept/resolv.conf" """,
        evidence="docker exec pazpaz-api grep -q 192.0.2.1 /etc/resolv.conf",
    ),
)
