"""Redis and the worker: jobs that are refused, lost or never done."""

from sandbox.faults.fault import Fault

FAULTS = (
    Fault(
        name="redis-full",
        title="Redis has no memory left and may throw nothing away",
        symptom="jobs cannot be queued, uploads end in 503; Redis answers pings",
        inject="redis config set maxmemory-policy noeviction >/dev/null && redis config set maxmemory 1 >/dev/null",
        mend="redis config set maxmemory 0 >/dev/null",
        evidence='[ "$(redis config get maxmemory | tail -n 1)" = 1 ]',
    ),
    Fault(
        name="redis-read-only",
        title="Redis refuses writes, because it wants a replica that does not exist",
        symptom="jobs cannot be queued; Redis answers pings",
        inject="redis config set min-replicas-to-write 1 >/dev/null",
        mend="redis config set min-replicas-to-write 0 >/dev/null",
        evidence='[ "$(redis config get min-replicas-to-write | tail -n 1)" = 1 ]',
    ),
    Fault(
        name="jobs-elsewhere",
        title="the worker looks for jobs in another Redis database than the api puts them into",
        symptom="jobs stay queued for ever, while the worker runs and is content",
        inject="""
keep .env.production
edit .env.production -E 's#^(REDIS_URL=.*)/0$#\\1/1#'
recreate arq-worker
give_back
redis -n 0 del arq:queue:health-check >/dev/null
""",
        mend="give_back; recreate arq-worker; redis -n 1 flushdb >/dev/null",
        evidence="docker inspect -f '{{json .Config.Env}}' pazpaz-arq-worker | has ':6379/1'",
    ),
    Fault(
        name="worker-hangs",
        title="the worker's process is stopped inside a container that runs",
        symptom="jobs stay queued for ever; docker says the container is up",
        inject="docker exec -u 0 pazpaz-arq-worker pkill -STOP -f pazpaz.worker",
        mend="docker exec -u 0 pazpaz-arq-worker pkill -CONT -f pazpaz.worker",
        evidence="docker exec pazpaz-arq-worker ps -eo stat=,args= | grep '[p]azpaz.worker' | has ^T",
    ),
    Fault(
        name="jobs-backlog",
        title="thousands of jobs wait in front of every new one",
        symptom="jobs stay queued, and the queue is long",
        inject="""
docker exec -u 0 pazpaz-arq-worker pkill -STOP -f pazpaz.worker
docker exec -i pazpaz-api python3 - <<'PYTHON'
import asyncio
from pazpaz.jobs import open_queue
from pazpaz.settings import load_settings
async def fill():
    queue = await open_queue(load_settings())
    for number in range(2000):
        await queue.enqueue_job("echo", number, _job_id=f"practice-{number}")
asyncio.run(fill())
PYTHON
""",
        mend="""
docker exec pazpaz-redis sh -c 'export REDISCLI_AUTH="$REDIS_PASSWORD"
for kind in job result retry in-progress; do redis-cli --scan --pattern "arq:$kind:practice-*" | xargs -r redis-cli del >/dev/null; done
seq 0 1999 | sed "s/^/practice-/" | xargs redis-cli zrem arq:queue >/dev/null'
docker exec -u 0 pazpaz-arq-worker pkill -CONT -f pazpaz.worker
""",
        evidence='[ "$(redis zcard arq:queue)" -gt 1000 ]',
    ),
)
