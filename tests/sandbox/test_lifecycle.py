"""The practice server's life: up, reset, down, two at once; looked at by docker, ssh, curl and openssl, not by the sandbox.

Servers of its own names are used, so nobody else's is touched.
"""

from __future__ import annotations

import json
import re
import subprocess
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from sandbox import client, lifecycle
from sandbox.errors import SandboxError
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]

ONE, OTHER = "lifecycle", "lifecycle-small"
OTHER_ROWS, OTHER_DISK = 2000, "3G"
HEALTH = {
    "pazpaz-nginx": "healthy",
    "pazpaz-api": "healthy",
    "pazpaz-db": "healthy",
    "pazpaz-redis": "healthy",
    "pazpaz-minio": "healthy",
    "pazpaz-clamav": "healthy",
    "pazpaz-frontend": "unhealthy",
    "pazpaz-arq-worker": "unhealthy",
}
ROWS = "docker exec pazpaz-db psql -U pazpaz -d pazpaz -Atc 'select count(*) - 1 from appointments'"
"""Rows of the big table, less the one of the synthetic account."""


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Sandbox, Sandbox]]:
    """Two servers at once, the second of another size and with a small disk; both are taken down at the end."""
    lifecycle.up(ONE)
    lifecycle.up(OTHER, rows=OTHER_ROWS, disk=OTHER_DISK)
    yield Sandbox.named(ONE), Sandbox.named(OTHER)
    lifecycle.down(ONE)
    lifecycle.down(OTHER)


@pytest.fixture
def one(servers: tuple[Sandbox, Sandbox]) -> Sandbox:
    return servers[0]


@pytest.fixture
def other(servers: tuple[Sandbox, Sandbox]) -> Sandbox:
    return servers[1]


def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=180)


def inside(sandbox: Sandbox, script: str) -> str:
    """Run a script as root on the server, by the outer engine, and return what it printed."""
    done = run("docker", "exec", sandbox.container, "bash", "-ec", script)
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def ssh(sandbox: Sandbox, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run("ssh", "-F", str(sandbox.folder / "ssh_config"), sandbox.name, command, stdin=stdin)


def port(sandbox: Sandbox, purpose: str) -> int:
    return ports(sandbox)[purpose]


def ports(sandbox: Sandbox) -> dict[str, int]:
    found = json.loads((sandbox.folder / "ports.json").read_text())
    return {purpose: found[purpose] for purpose in ("ssh", "https", "http", "test")}


def https(sandbox: Sandbox, path: str) -> subprocess.CompletedProcess[str]:
    connect = f"pazpaz.test:443:127.0.0.1:{port(sandbox, 'https')}"
    ca = str(sandbox.folder / "ca.crt")
    return run("curl", "-sS", "-m", "10", "--cacert", ca, "--connect-to", connect, f"https://pazpaz.test{path}")


def test_the_stack_is_in_the_state_of_the_paper(one: Sandbox) -> None:
    listed = inside(one, "docker inspect -f '{{slice .Name 1}} {{.State.Health.Status}}' $(docker ps -aq)")
    assert dict(line.split() for line in listed.splitlines()) == HEALTH


def test_the_application_answers_through_the_front_door_with_a_valid_certificate(one: Sandbox) -> None:
    answer = https(one, "/api/v1/ready")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["checks"] == dict.fromkeys(
        ("database", "redis", "storage", "clamav", "worker"), "ok"
    )
    assert "<html" in https(one, "/").stdout


def test_a_page_is_not_trusted_without_the_practice_authority(one: Sandbox) -> None:
    connect = f"pazpaz.test:443:127.0.0.1:{port(one, 'https')}"
    assert run("curl", "-sS", "-m", "10", "--connect-to", connect, "https://pazpaz.test/").returncode == 60


def test_the_operator_logs_in_by_key_and_becomes_root_with_the_password(one: Sandbox) -> None:
    assert ssh(one, "id -un; hostname").stdout.split() == ["pazpaz", one.hostname]
    assert ssh(one, "sudo -n id -u").returncode != 0
    password = (one.folder / "sudo_password").read_text()
    assert ssh(one, "sudo -S -p '' id -u", stdin=password).stdout.strip() == "0"
    assert ssh(one, "sudo -k -S -p '' id -u", stdin="wrong\n").returncode != 0


def test_the_server_offers_password_login_as_the_paper_s_does(one: Sandbox) -> None:
    done = run("ssh", "-F", str(one.folder / "ssh_config"), "-o", "PreferredAuthentications=none", one.name)
    assert "password" in done.stderr


def test_a_client_elsewhere_is_served_and_logs_in(one: Sandbox) -> None:
    served = client.run(ONE, ["curl", "-sS", "-m", "10", "https://pazpaz.test/api/v1/ready"])
    assert json.loads(served.stdout)["status"] == "ok", served.stderr
    seen = client.run(ONE, ["ssh", ONE, "echo $SSH_CONNECTION"]).stdout.split()[0]
    assert seen == client.address(ONE) != ssh(one, "echo $SSH_CONNECTION").stdout.split()[0]


def test_nothing_listens_beyond_loopback(one: Sandbox, other: Sandbox) -> None:
    for sandbox in (one, other):
        published = json.loads(run("docker", "inspect", sandbox.container).stdout)[0]["NetworkSettings"]["Ports"]
        bindings = [(each["HostIp"], int(each["HostPort"])) for each in chain(*filter(None, published.values()))]
        assert {address for address, _ in bindings} == {"127.0.0.1"}
        assert sorted(number for _, number in bindings) == sorted(ports(sandbox).values())


def test_the_firewall_lets_three_ports_in_and_really_filters(one: Sandbox) -> None:
    rules = inside(one, "ufw status | awk '/ALLOW/ && !/v6/ {print $1}'").split()
    assert sorted(rules) == ["22/tcp", "443/tcp", "80/tcp"]
    inside(one, "systemd-run --quiet --unit=test-port python3 -m http.server 9999")
    try:
        address = f"http://127.0.0.1:{port(one, 'test')}/"
        inside(one, "curl -s --retry 20 --retry-connrefused --retry-delay 0 -o /dev/null http://127.0.0.1:9999/")
        assert run("curl", "-s", "-m", "3", "-o", "/dev/null", address).returncode == 28
        inside(one, "ufw allow 9999/tcp")
        assert run("curl", "-s", "-m", "3", "-o", "/dev/null", address).returncode == 0
    finally:
        inside(one, "ufw delete allow 9999/tcp; systemctl stop test-port")


def test_the_secrets_file_and_the_state_folder_are_private(one: Sandbox) -> None:
    assert inside(one, "stat -c '%a %U' /opt/pazpaz/.env.production") == "600 pazpaz"
    assert one.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in one.folder.iterdir()} == {0o600}


def test_certificates_come_from_the_acme_authority_and_renew(one: Sandbox) -> None:
    listed = inside(one, "certbot certificates 2>/dev/null")
    assert re.search(r"Domains: pazpaz\.test\n.*VALID: [6-9]\d days", listed, re.DOTALL)
    assert inside(one, "systemctl is-active certbot.timer") == "active"
    renewed = inside(
        one,
        "REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt certbot renew --dry-run --no-random-sleep-on-renew 2>&1",
    )
    assert "all simulated renewals succeeded" in renewed


@pytest.mark.parametrize(
    ("service", "address", "ca", "protocol"),
    [("db", "db:5432", "ca.crt", "-starttls postgres"), ("minio", "minio:9000", "minio/ca.crt", "")],
)
def test_internal_certificates_verify_strictly_and_last_ten_years(
    one: Sandbox, service: str, address: str, ca: str, protocol: str
) -> None:
    ip = inside(
        one,
        f"docker inspect -f '{{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}' pazpaz-{service}",
    )
    said = inside(
        one,
        f"openssl s_client {protocol} -connect {ip}:{address.rpartition(':')[2]} -verify_hostname {service} -x509_strict "
        f"-CAfile /opt/pazpaz/backend/certs/{ca} </dev/null 2>/dev/null | tee /tmp/said | grep -o 'Verify return code: .*' | tail -n 1; "
        "openssl x509 -checkend $((3600 * 24 * 3640)) -noout < /tmp/said",
    )
    assert said.splitlines()[0] == "Verify return code: 0 (ok)"


def test_the_database_refuses_a_connection_without_tls(one: Sandbox) -> None:
    done = run(
        "docker", "exec", one.container, "docker", "exec", "pazpaz-db", "psql", "host=db user=pazpaz dbname=pazpaz sslmode=disable"
    )  # fmt: skip
    assert "no encryption" in done.stderr


def test_another_release_is_really_pulled_from_the_registry(one: Sandbox) -> None:
    image = "localhost:5000/pazpaz-backend:1.1.0"
    assert inside(one, f"docker images -q {image}") == ""
    pulled = inside(one, f"docker pull {image}")
    assert re.search(r"Digest: sha256:[0-9a-f]{64}", pulled)
    assert inside(one, f"docker run --rm --entrypoint cat {image} /app/VERSION") == "1.1.0"
    inside(one, f"docker rmi {image}")


def test_a_fresh_backup_that_can_be_read_through_is_there(one: Sandbox) -> None:
    newest = inside(one, "find /opt/pazpaz/backups -name '*.dump' -mmin -240 | sort | tail -n 1")
    assert newest
    inside(
        one,
        f"docker exec -i pazpaz-db pg_restore -f /dev/null < {newest}; cd /opt/pazpaz/backups; sha256sum -c {newest}.sha256",
    )
    assert inside(one, "systemctl is-active pazpaz-backup.timer") == "active"


def test_an_unfinished_backup_leaves_nothing_that_looks_like_one(other: Sandbox) -> None:
    before = inside(other, "ls /opt/pazpaz/backups")
    inside(
        other,
        "docker pause pazpaz-db; timeout 5 systemctl start pazpaz-backup || true; systemctl stop pazpaz-backup; docker unpause pazpaz-db",
    )
    assert inside(other, "ls /opt/pazpaz/backups") == before
    inside(other, "systemctl reset-failed pazpaz-backup; systemctl start pazpaz-backup")


def test_rows_and_disk_are_as_asked(one: Sandbox, other: Sandbox) -> None:
    assert int(inside(one, ROWS)) == 100_000
    assert int(inside(other, ROWS)) == OTHER_ROWS
    total = int(inside(other, "df -B1 --output=size /var/lib/docker | tail -n 1"))
    assert 2.5e9 < total < 3 * 1024**3
    assert inside(other, "df --output=source /opt/pazpaz/backups /var/lib/docker | tail -n 2 | uniq | wc -l") == "1"


def test_two_servers_share_neither_keys_nor_passwords_nor_data(one: Sandbox, other: Sandbox) -> None:
    for name in ("id_ed25519", "ssh_host_ed25519_key", "sudo_password", "ports.json"):
        assert (one.folder / name).read_text() != (other.folder / name).read_text()
    assert inside(one, "cat /etc/machine-id") != inside(other, "cat /etc/machine-id")
    swapped = run(
        "ssh", "-F", str(one.folder / "ssh_config"), "-p", str(port(other, "ssh")), one.name, "true"
    )  # fmt: skip
    assert swapped.returncode == 255, "a server with another host key must be refused"
    inside(other, "docker exec pazpaz-db psql -U pazpaz -d pazpaz -c 'create table only_here()'")
    missing = run(
        "docker", "exec", one.container, "docker", "exec", "pazpaz-db", "psql", "-U", "pazpaz", "-c", "table only_here"
    )
    assert "does not exist" in missing.stderr


def test_up_again_changes_nothing(one: Sandbox) -> None:
    state = ("docker", "inspect", "-f", "{{.Id}} {{.State.StartedAt}}", one.container)
    before = run(*state).stdout
    assert lifecycle.up(ONE).state == "running"
    assert run(*state).stdout == before


def test_up_brings_back_a_server_that_was_killed(other: Sandbox) -> None:
    run("docker", "kill", other.container)
    assert lifecycle.status(OTHER).state == "exited"
    lifecycle.up(OTHER)
    assert json.loads(https(other, "/api/v1/ready").stdout)["status"] == "ok"
    assert int(inside(other, ROWS)) == OTHER_ROWS


def test_up_refuses_to_turn_a_server_into_another_size(other: Sandbox) -> None:
    with pytest.raises(SandboxError, match=f"{OTHER_ROWS} rows"):
        lifecycle.up(OTHER, rows=5)
    assert int(inside(other, ROWS)) == OTHER_ROWS


def test_reset_brings_back_the_known_state(one: Sandbox) -> None:
    identity = {path.name: path.read_text() for path in one.folder.iterdir() if path.name != "sandbox.json"}
    environment = inside(one, "sha256sum < /opt/pazpaz/.env.production")
    inside(
        one,
        """
        docker exec pazpaz-db psql -q -U pazpaz -d pazpaz -c 'drop table appointments cascade'
        docker run -d --name stranger localhost:5000/redis:8 sleep 1000
        chmod 644 /opt/pazpaz/.env.production; touch /opt/pazpaz/stranger; rm -rf /opt/pazpaz/backups/*
        ufw --force disable; echo pazpaz:other | chpasswd; rm /home/pazpaz/.ssh/authorized_keys
        """,
    )
    assert ssh(one, "true").returncode == 255
    lifecycle.reset(ONE)
    assert int(inside(one, ROWS)) == 100_000
    assert inside(one, "docker ps -aq | wc -l") == "8"
    assert inside(one, "stat -c %a /opt/pazpaz/.env.production; ls /opt/pazpaz | grep -c stranger || true") == "600\n0"
    assert inside(one, "sha256sum < /opt/pazpaz/.env.production") == environment
    assert "active" in inside(one, "ufw status | head -n 1")
    assert inside(one, "ls /opt/pazpaz/backups | grep -c 'dump$'") != "0"
    after = {path.name: path.read_text() for path in one.folder.iterdir() if path.name != "sandbox.json"}
    assert after == identity
    assert ssh(one, "sudo -S -p '' id -u", stdin=identity["sudo_password"]).stdout.strip() == "0"


def test_the_server_survives_a_reboot_from_inside(one: Sandbox) -> None:
    boot = inside(one, "cat /proc/1/stat | cut -d' ' -f22")
    run("docker", "restart", one.container)
    lifecycle.up(ONE)
    inside(one, "practice-ready 90")
    assert inside(one, "cat /proc/1/stat | cut -d' ' -f22") != boot
    assert ssh(one, "sudo -S -p '' ufw status", stdin=(one.folder / "sudo_password").read_text()).stdout.startswith(
        "Status: active"
    )


def test_down_leaves_nothing_and_takes_nothing_else(one: Sandbox, other: Sandbox) -> None:
    assert lifecycle.down(OTHER)
    for kind in ("container", "volume"):
        listed = run("docker", kind, "ls", *(["--all"] if kind == "container" else []), "--format", "{{json .}}").stdout
        assert other.container not in listed
        assert one.container in listed
    assert not other.folder.exists()
    assert lifecycle.status(OTHER).state == "absent"
    assert not lifecycle.down(OTHER)
    assert https(one, "/api/v1/ready").returncode == 0
