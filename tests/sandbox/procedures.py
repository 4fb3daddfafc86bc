"""The procedures of the crash matrix: how a server is brought to their beginning, and how their goal is seen. All by other means than the library."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import users
from changes import Desk
from repository import Elsewhere, forge, restic, snapshots

from sandbox import state
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Host


def _nothing(_host: Host) -> None:
    """Nothing is to be prepared."""


@dataclass(frozen=True)
class Procedure:
    """`goal` returns why it is not reached, empty where it is. `stays` are lines of the snapshot that an undo leaves alone."""

    name: str
    notebook: str
    goal: Callable[[Host], str]
    values: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Host], None] = _nothing
    confirmed: bool = True
    stays: tuple[str, ...] = ()
    may_refuse_resume: bool = False


MARK = "/run/prepared"
SECRETS = {
    "database-password": "POSTGRES_PASSWORD",
    "redis-password": "REDIS_PASSWORD",
    "jwt-secret": "SECRET_KEY",
    "encryption-key": "ENCRYPTION_MASTER_KEY",
}
NOTE = "This note was written when the practice server was made."


def _mark(host: Host) -> None:
    host.sh(f"sleep 1.1; touch {MARK}")


def _restarted(host: Host) -> str:
    script = f"""since=$(stat -c %Y {MARK} 2>/dev/null || echo 0)
    for name in pazpaz-api pazpaz-arq-worker; do
        [ "$(date -d "$(docker inspect -f '{{{{.State.StartedAt}}}}' $name)" +%s)" -ge "$since" ] || echo "$name was not restarted"
    done"""
    return host.sh(script).strip()


def _value(variable: str) -> str:
    return f"value=$(sed -n 's/^{variable}=//p' /opt/pazpaz/.env.production)"


def _secret_to_be_replaced(variable: str) -> Callable[[Host], None]:
    """Forget earlier rotations (all of them are whole), and note which value there is."""

    def prepare(host: Host) -> None:
        host.sh(f'rm -rf /var/lib/runbook; {_value(variable)}; printf %s "$value" | sha256sum > {MARK}')

    return prepare


def _secret_replaced(variable: str) -> Callable[[Host], str]:
    def goal(host: Host) -> str:
        told = host.sh(f"""{_value(variable)}
        [ "$(printf %s "$value" | sha256sum)" != "$(cat {MARK})" ] || echo the value is the old one
        for name in pazpaz-api pazpaz-arq-worker; do
            docker inspect -f '{{{{json .Config.Env}}}}' $name | grep -qF -e "$value" || echo "$name runs with another value"
        done
        PGPASSWORD=$(sed -n 's/^POSTGRES_PASSWORD=//p' /opt/pazpaz/.env.production)
        export PGPASSWORD
        docker exec -e PGPASSWORD pazpaz-db psql -qtAX "host=db sslmode=require user=pazpaz dbname=pazpaz" -c 'select 1' | grep -qx 1 || echo the database refuses the password""")
        try:
            note = users.canary(host)
        except (httpx.HTTPError, KeyError) as error:
            return f"{told}; the synthetic user cannot read: {error}"
        return told.strip() if note == NOTE else f"{told}; the sealed note reads {note[:20]!r}"

    return goal


KEPT_CERTIFICATES = "/var/cache/certificates.tar"


def _certificate_to_be_renewed(host: Host) -> None:
    """Back to the certificate that the server was made with: renewals are counted by certbot's archive."""
    host.sh(f"""set -e; cd /etc
    [ -s {KEPT_CERTIFICATES} ] || tar -cf {KEPT_CERTIFICATES} letsencrypt
    rm -rf letsencrypt/live letsencrypt/archive letsencrypt/renewal /var/lib/runbook
    tar -xf {KEPT_CERTIFICATES}
    docker exec pazpaz-nginx nginx -s reload 2>/dev/null
    openssl x509 -noout -serial -in letsencrypt/live/pazpaz.test/cert.pem > {MARK}""")


def _certificate_renewed(host: Host) -> str:
    return host.sh(f"""cd /etc/letsencrypt/live/pazpaz.test
    new=$(openssl x509 -noout -serial -in cert.pem)
    [ "$new" != "$(cat {MARK})" ] || echo the certificate is the old one
    seen=$(openssl s_client -connect 127.0.0.1:443 -servername pazpaz.test </dev/null 2>/dev/null | openssl x509 -noout -serial)
    [ "$new" = "$seen" ] || echo "nginx serves $seen, on disk lies $new"
    curl -sf -m 5 --resolve pazpaz.test:443:127.0.0.1 -o /dev/null https://pazpaz.test/ || echo the page is not served""").strip()


COMPOSE = "docker compose -f docker-compose.prod.yml --env-file .env.production"


def _release(image: str, revision: str, *, pulled: bool = True) -> Callable[[Host], None]:
    """Have that backend run on a database at that revision, by hand; with the next image on the server or only in the registry."""

    def prepare(host: Host) -> None:
        at = sql(host, "select version_num from alembic_version")
        word = "upgrade" if at < revision else "downgrade"
        alembic = f"BACKEND_VERSION=1.1.0 {COMPOSE} run --rm -T --no-deps --quiet-pull api alembic"
        move = "" if at == revision else f"{alembic} {word} {revision}"
        tag = "localhost:5000/pazpaz-backend:1.1.0"
        fetch = f"docker pull -q {tag}" if pulled else f"docker images -q --no-trunc {tag} | xargs -r docker rmi -f"
        host.sh(f"""set -e; cd /opt/pazpaz
        {move}
        sed -i 's/^BACKEND_VERSION=.*/BACKEND_VERSION={image}/' .env.production
        {COMPOSE} up --detach --no-deps --quiet-pull api arq-worker
        rm -rf /var/lib/runbook
        {fetch}
        docker exec pazpaz-db vacuumdb -q -U pazpaz pazpaz""")  # each way up and down leaves dead rows, of which a check complains

    return prepare


def sql(host: Host, query: str, *, database: str = "pazpaz") -> str:
    """Return what a database of the stack answers."""
    answer: str = host.sh(f'docker exec pazpaz-db psql -qtAX -U pazpaz -d {database} -c "{query}"')
    return answer.strip()


def _deployed(host: Host) -> str:
    return host.sh("""seen=$(curl -sf -m 5 --resolve pazpaz.test:443:127.0.0.1 https://pazpaz.test/api/v1/version)
    grep -q '"version": *"1.1.0"' <<< "$seen" || echo "users are served by $seen"
    [ "$(docker inspect -f '{{.Image}}' pazpaz-api pazpaz-arq-worker | sort -u | wc -l)" = 1 ] || echo api and worker run two images""").strip()


def _migrated(host: Host) -> str:
    at = sql(host, "select version_num from alembic_version")
    return "" if at == "0004" else f"the database is at {at}"


COUNT_LATE = "select count(*) from clients where name = 'after the backup'"


def _to_be_restored(host: Host) -> None:
    """Only the first backups, the stack's own database alone, and in it a row that no backup has."""
    host.sh("""set -e; cd /opt/pazpaz/backups; rm -rf /var/lib/runbook
    [ -s /var/cache/backups.list ] || ls > /var/cache/backups.list
    ls | grep -vxFf /var/cache/backups.list | xargs -r rm -rf
    for name in $(docker exec pazpaz-db psql -qtAX -U pazpaz -d postgres -c "select datname from pg_database where datname like 'pazpaz_%'"); do
        docker exec pazpaz-db dropdb -U pazpaz --force "$name"
    done""")
    sql(host, "delete from clients where name = 'after the backup'")
    sql(host, "insert into clients (name, created_by) select 'after the backup', id from users limit 1")


def _restored(host: Host) -> str:
    if sql(host, COUNT_LATE) != "0":
        return "the database holds a row that the backup lacks"
    kept = sql(host, "select datname from pg_database where datname like 'pazpaz_before_%'").split()
    if len(kept) != 1:
        return f"the old database is kept {len(kept)} times"
    if sql(host, COUNT_LATE, database=kept[0]) != "1":
        return "the old database lacks its newest row"
    sealed = (
        "select count(*), count(medical_notes) from clients where name not like 'zz %' and name <> 'after the backup'"
    )
    new, old = sql(host, sealed), sql(host, sealed, database=kept[0])
    return "" if new == old else f"{new} clients are restored, and there were {old}"


def _backups_grown_old(host: Host) -> None:
    """The first backups, and five copies of them from months ago, each with its checksum."""
    host.sh("""set -e; cd /opt/pazpaz/backups; rm -rf /var/lib/runbook
    [ -s /var/cache/backups.list ] || ls > /var/cache/backups.list
    ls -A | grep -vxFf /var/cache/backups.list | xargs -r rm -rf
    newest=$(ls pazpaz-*.dump | tail -n 1)
    for month in 04 05 06 07 08; do
        name=pazpaz-2026${month}01-023000.dump
        cp -p "$newest" "$name"
        sha256sum "$name" > "$name.sha256"
        chown pazpaz:pazpaz "$name" "$name.sha256"
        touch -d "2026-$month-01 02:30 UTC" "$name" "$name.sha256"
    done""")


def _old_ones_gone(host: Host) -> str:
    """The newest three stay whatever their age: of five old ones four go."""
    return host.sh("""cd /opt/pazpaz/backups
    ls -A | grep -E '^set-aside|20260[4-7]01' | sed 's/$/ is still there/'
    for name in $(cat /var/cache/backups.list); do [ -e "$name" ] || echo "$name is gone"; done
    sha256sum --quiet -c *.sha256 2>&1""").strip()


KEPT_REPOSITORY = "/var/cache/repository.tar"


def _backed_up(host: Host) -> None:
    made = Desk(Path(tempfile.mkdtemp()), f"sandbox@{host.name}").apply(
        "07-backup/full-backup", classes="configuration"
    )
    assert made.applied.get("state") == "applied", made


def _repository_grown_old(host: Host) -> None:
    """A repository with three young runs of a foreign hand and one too old, and the same off the server; made once, laid back later."""
    copies = Sandbox.named(host.name).folder / state.COPIES
    kept = copies.with_name("kept-copies")
    host.sh("rm -rf /var/lib/runbook")
    if host.sh(f"[ -s {KEPT_REPOSITORY} ] || echo none").strip() or not kept.is_dir():
        _backed_up(host)
        old = [forge(host, days) for days in (1, 2, 3, 60)][-1]
        _backed_up(host)
        host.sh(f"echo {old} > /var/cache/old-run")
        host.sh(f"rm -rf /var/lib/runbook; tar -C /opt/pazpaz/backups -cf {KEPT_REPOSITORY} restic catalogue.json")
        shutil.copytree(copies, kept, dirs_exist_ok=True)
        return
    host.sh(f"cd /opt/pazpaz/backups; rm -rf restic catalogue.json; tar -xpf {KEPT_REPOSITORY}")
    shutil.rmtree(copies, ignore_errors=True)
    shutil.copytree(kept, copies)


def _old_run_gone(host: Host) -> str:
    """The run is in neither place nor in the catalogue, what is young is in both, and restic finds each whole."""
    old = host.sh("cat /var/cache/old-run").strip()
    here = snapshots(host)
    away = Elsewhere.of(host)
    before = int(host.sh(f"tar -tf {KEPT_REPOSITORY} | grep -c '^restic/snapshots/.'"))
    told = [] if len(here) == before - 5 else [f"{len(here)} snapshots are left"]
    told += [f"{old} is still there" for row in here if old in row["tags"]]
    if {path.name for path in (away.place / "snapshots").iterdir()} != {row["id"] for row in here}:
        told.append("off the server are other snapshots than on it")
    if old in host.sh("cat /opt/pazpaz/backups/catalogue.json"):
        told.append("the catalogue names the old run")
    if "no errors were found" not in restic(host, "check --read-data", check=False):
        told.append("the repository is not whole")
    if away.sh("restic check --read-data").returncode:
        told.append("the copy off the server is not whole")
    return "; ".join(told)


PROCEDURES = {
    procedure.name: procedure
    for procedure in (
        Procedure("restart", "02-services/control", _restarted, {"services": "api,arq-worker"}, _mark, confirmed=False),
        *(
            Procedure(
                f"rotate-{secret}",
                "10-maintenance/rotate-secrets",
                _secret_replaced(variable),
                {"secret": secret},
                _secret_to_be_replaced(variable),
                stays=("database role",),  # the old password has a new salt
            )
            for secret, variable in SECRETS.items()
        ),
        Procedure(
            "renew",
            "05-certificates/renew",
            _certificate_renewed,
            {"force": "true", "rehearse": "false"},
            _certificate_to_be_renewed,
            confirmed=False,
        ),
        Procedure(
            "deploy-backend",
            "03-deploy/backend",
            _deployed,
            {"version": "1.1.0"},
            _release("1.0.0", "0004", pulled=False),
            confirmed=False,
            stays=("image",),
        ),
        Procedure(
            "restore",
            "06-database/restore",
            _restored,
            prepare=_to_be_restored,
            stays=("file /opt/pazpaz/backups", "database database pazpaz_undone"),
        ),
        Procedure(
            "retention",
            "07-backup/retention",
            _old_ones_gone,
            {"classes": "database", "off_server": "false"},
            _backups_grown_old,
        ),
        Procedure(
            "retention-repository",
            "07-backup/retention",
            _old_run_gone,
            prepare=_repository_grown_old,
            stays=("file /opt/pazpaz/backups",),  # what is put back has another id
        ),
        Procedure("migrate", "03-deploy/migrate", _migrated, {"version": "1.1.0"}, _release("1.0.0", "0003")),
    )
}
