"""The host itself: Docker, units, disks, configuration that drifted."""

from sandbox.faults.fault import Fault

FAULTS = (
    Fault(
        name="docker-stopped",
        title="the Docker engine is stopped, and every container with it",
        symptom="nothing answers on ports 80 and 443",
        inject="systemctl stop docker.socket; systemctl stop docker.service",
        mend="""
systemctl start docker.socket docker.service
revive db redis minio clamav
revive api arq-worker frontend
revive nginx
""",
        evidence="! systemctl is-active --quiet docker.service",
    ),
    Fault(
        name="failed-unit",
        title="a systemd unit has failed",
        symptom="nothing, for the users",
        inject="systemd-run -q --unit=practice-report --property=RemainAfterExit=yes false; sleep 1",
        mend="systemctl reset-failed practice-report 2>/dev/null || true; systemctl stop practice-report 2>/dev/null || true",
        evidence="systemctl is-failed --quiet practice-report",
    ),
    Fault(
        name="reboot-required",
        title="an update waits for a reboot",
        symptom="nothing, for the users",
        inject="echo '*** System restart required ***' >/run/reboot-required; echo linux-image-amd64 >/run/reboot-required.pkgs",
        mend="rm -f /run/reboot-required /run/reboot-required.pkgs",
        evidence="[ -e /run/reboot-required ]",
    ),
    Fault(
        name="logs-disk-full",
        title="the disk of the application's logs is full",
        symptom="nothing at first; what writes there fails",
        inject="mount -t tmpfs -o size=4m,uid=pazpaz,gid=pazpaz practice-full logs; dd if=/dev/zero of=logs/application.log bs=4k status=none 2>/dev/null || true",
        mend="! findmnt -n -t tmpfs logs >/dev/null || umount -l /opt/pazpaz/logs",
        evidence="[ \"$(df --output=avail logs | tail -n 1 | tr -d ' ')\" = 0 ]",
    ),
    Fault(
        name="inodes-exhausted",
        title="the disk of the application's logs has room but no inodes",
        symptom="nothing at first; what makes a file there fails although df shows room",
        inject="mount -t tmpfs -o size=4m,nr_inodes=64,uid=pazpaz,gid=pazpaz practice-inodes logs; (cd logs && touch $(seq 200)) 2>/dev/null || true",
        mend="! findmnt -n -t tmpfs logs >/dev/null || umount -l /opt/pazpaz/logs",
        evidence="[ \"$(df --output=iavail logs | tail -n 1 | tr -d ' ')\" = 0 ]",
    ),
    Fault(
        name="log-flood",
        title="the api's log is full of errors",
        symptom="nothing by itself",
        inject="""
docker exec pazpaz-api python3 -c '
import datetime, json, sys
out = open("/proc/1/fd/1", "w")
for number in range(3000):
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    line = {"time": now, "level": "ERROR", "logger": "pazpaz.reports", "message": f"report {number} failed: division by zero"}
    print(json.dumps(line), file=out)
'
""",
        mend="recreate api",
        evidence="[ \"$(docker logs --tail 20000 pazpaz-api 2>&1 | grep -c 'division by zero')\" -ge 1000 ]",
    ),
    Fault(
        name="compose-edited",
        title="the compose file was changed after the containers were started",
        symptom="nothing until the next deployment, which then does more than asked",
        inject="keep docker-compose.prod.yml; edit docker-compose.prod.yml 's/mem_limit: 512m/mem_limit: 256m/'",
        mend="give_back",
        evidence="grep -c 'mem_limit: 256m' docker-compose.prod.yml | has -x 2",
    ),
    Fault(
        name="env-edited",
        title=".env.production was changed after the containers were started",
        symptom="nothing until the containers are recreated",
        inject="keep .env.production; echo LOG_LEVEL=WARNING >>.env.production",
        mend="give_back",
        evidence="grep -q ^LOG_LEVEL=WARNING .env.production && ! docker inspect -f '{{json .Config.Env}}' pazpaz-api | has LOG_LEVEL=WARNING",
    ),
    Fault(
        name="version-unavailable",
        title="the compose file asks for a version of the backend that does not exist",
        symptom="nothing until the api is recreated, which then fails",
        inject="keep .env.production; edit .env.production 's/^BACKEND_VERSION=.*/BACKEND_VERSION=9.9.9/'",
        mend="give_back",
        evidence="compose config | has pazpaz-backend:9.9.9",
    ),
    Fault(
        name="registry-stopped",
        title="the image registry is stopped",
        symptom="nothing until images are pulled",
        inject="systemctl stop docker-registry",
        mend="systemctl start docker-registry; for _ in $(seq 50); do curl -fs -o /dev/null http://localhost:5000/v2/ && break; sleep 0.1; done",
        evidence="! systemctl is-active --quiet docker-registry",
    ),
    Fault(
        name="host-cpu-hog",
        title="a process on the host burns a whole processor",
        symptom="answers are slower",
        inject="systemd-run -q --collect --unit=practice-hog sh -c 'while :; do :; done'",
        mend="systemctl stop practice-hog 2>/dev/null || true",
        evidence="systemctl is-active --quiet practice-hog",
    ),
)
