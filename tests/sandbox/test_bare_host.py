"""A bare second host: nothing of the stack is on it, what lies outside a server is; and a client with an address of its own.

Looked at by docker, ssh, openssl and curl. Servers of its own names are used, so nobody else's is touched.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox import client, lifecycle
from sandbox.errors import SandboxError
from sandbox.faults import injection
from sandbox.lifecycle import Kind
from sandbox.state import Sandbox, read_about

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]

BARE, EQUIPPED = "bare-host", "bare-host-equipped"
PACKAGES = "docker.io docker-cli docker-compose certbot restic"


@pytest.fixture(scope="module")
def bare() -> Iterator[Sandbox]:
    """A server as a provider hands it over."""
    lifecycle.up(BARE, kind=Kind.BARE)
    yield Sandbox.named(BARE)
    lifecycle.down(BARE)


@pytest.fixture(scope="module")
def equipped() -> Iterator[Sandbox]:
    """The same with the packages."""
    lifecycle.up(EQUIPPED, kind=Kind.EQUIPPED)
    yield Sandbox.named(EQUIPPED)
    lifecycle.down(EQUIPPED)


def run(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=180)


def inside(sandbox: Sandbox, script: str) -> str:
    """Run a script as root on the server, by the outer engine, and return what it printed."""
    done = run("docker", "exec", sandbox.container, "bash", "-ec", script)
    assert done.returncode == 0, f"{script}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def ssh(sandbox: Sandbox, command: str, stdin: str = "") -> str:
    done = run("ssh", "-F", str(sandbox.folder / "ssh_config"), sandbox.name, command, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ports(sandbox: Sandbox) -> dict[str, int]:
    return lifecycle.status(sandbox.name).ports


def from_here(sandbox: Sandbox) -> int:
    """Return curl's exit code for the test port, as the operator reaches it."""
    return run("curl", "-s", "-m", "3", "-o", "/dev/null", f"http://127.0.0.1:{ports(sandbox)['test']}/").returncode


def from_client(sandbox: Sandbox) -> int:
    return client.run(sandbox.name, ["curl", "-s", "-m", "3", "-o", "/dev/null", "http://pazpaz.test:9999/"]).exit_code


@pytest.mark.parametrize("place", ["/opt/pazpaz", "/var/www", "/etc/letsencrypt", "/etc/practice/synthetic_password"])
def test_a_bare_server_has_no_trace_of_the_stack(bare: Sandbox, place: str) -> None:
    assert inside(bare, f"test ! -e {place} && echo absent") == "absent"


def test_a_bare_server_has_neither_the_engine_nor_the_tools(bare: Sandbox) -> None:
    tools = "docker dockerd containerd certbot restic practice-provision pazpaz-backup"
    assert inside(bare, f"for tool in {tools}; do command -v $tool || true; done") == ""
    assert inside(bare, f"dpkg-query -W -f '${{db:Status-Status}}\\n' {PACKAGES} 2>/dev/null || true") == ""
    assert (
        inside(bare, "ls -A /var/lib/docker; systemctl list-unit-files 'pazpaz*' 'certbot*' --no-legend || true") == ""
    )


def test_no_file_of_a_bare_server_speaks_of_the_stack_but_the_user_s(bare: Sandbox) -> None:
    # the seed is what the registry serves; it stands for a registry elsewhere
    found = inside(bare, "find / -xdev -iname '*pazpaz*' -not -path '/proc/*' -not -path '/var/lib/docker-registry/*'")
    assert sorted(found.splitlines()) == ["/etc/ssh/sshd_config.d/10-pazpaz.conf", "/home/pazpaz"]


@pytest.mark.parametrize("kind", ["bare", "equipped"])
def test_the_firewall_is_there_but_not_set_up(kind: str, request: pytest.FixtureRequest) -> None:
    sandbox = request.getfixturevalue(kind)
    assert inside(sandbox, "ufw status; ufw show added | tail -n 1") == "Status: inactive\n(None)"
    assert inside(sandbox, "iptables -S INPUT") == "-P INPUT ACCEPT"


def test_an_equipped_server_has_an_engine_that_is_empty(equipped: Sandbox) -> None:
    assert inside(equipped, "systemctl is-active docker") == "active"
    assert inside(equipped, "docker ps -aq; docker images -aq; docker volume ls -q") == ""
    assert inside(equipped, "restic version | cut -d' ' -f1; docker compose version --short >/dev/null") == "restic"


def test_an_equipped_server_has_no_certificate_and_no_backup(equipped: Sandbox) -> None:
    assert inside(equipped, "find /etc/letsencrypt -type f") == "/etc/letsencrypt/cli.ini"
    assert inside(equipped, "grep -c pazpaz /etc/letsencrypt/cli.ini || true") == "0"
    assert inside(equipped, "ls -A /opt; ls -d /var/www || true") == ""
    assert inside(equipped, "find / -xdev -name '*.dump' -not -path '/proc/*'") == ""


@pytest.mark.parametrize("kind", ["bare", "equipped"])
def test_the_operator_logs_in_by_key_and_becomes_root_with_the_password(
    kind: str, request: pytest.FixtureRequest
) -> None:
    sandbox = request.getfixturevalue(kind)
    assert ssh(sandbox, "id -un; hostname").split() == ["pazpaz", sandbox.hostname]
    assert ssh(sandbox, "sudo -S -p '' id -u", stdin=(sandbox.folder / "sudo_password").read_text()) == "0"


def test_the_authority_and_the_registry_are_those_of_the_lost_server(bare: Sandbox) -> None:
    about = read_about(bare)
    assert about is not None
    path = "/usr/local/share/ca-certificates/practice-acme.crt"
    image = f"runbook-sandbox/golden:{about.golden}"
    lost = run("docker", "run", "--rm", "--pull=never", "--entrypoint=cat", image, path).stdout
    assert lost.startswith("-----BEGIN CERTIFICATE-----")
    assert (bare.folder / "ca.crt").read_text() == lost
    said = inside(
        bare, "curl -fsS https://localhost:14443/acme/local/directory; curl -fsS localhost:5000/v2/pazpaz-backend/tags/list"
    )  # fmt: skip
    assert "newOrder" in said
    assert "1.1.0" in said
    chain = (
        "openssl s_client -connect localhost:14443 -servername localhost -CAfile /tmp/root.crt </dev/null 2>/dev/null"
    )
    inside(bare, f"cp {path} /tmp/root.crt")
    assert "Verify return code: 0 (ok)" in inside(bare, f"{chain} | grep 'Verify return code' | tail -n 1")


def test_faults_are_refused_where_there_is_no_stack(bare: Sandbox) -> None:
    with pytest.raises(injection.InjectionError, match="no stack to break"):
        injection.inject(bare.name, injection.find("api-stopped"))
    assert inside(bare, "test ! -e /var/lib/practice/faults && echo untouched") == "untouched"


def test_up_again_leaves_it_bare_and_refuses_another_kind(bare: Sandbox) -> None:
    before = run("docker", "inspect", "-f", "{{.Id}}", bare.container).stdout
    assert lifecycle.up(BARE).kind is Kind.BARE
    with pytest.raises(SandboxError, match="bare, without packages"):
        lifecycle.up(BARE, kind=Kind.PRODUCTION)
    with pytest.raises(SandboxError, match="no database"):
        lifecycle.up(BARE, kind=Kind.BARE, rows=5)
    assert run("docker", "inspect", "-f", "{{.Id}}", bare.container).stdout == before


def test_apt_brings_the_packages_and_the_stack_s_images_are_pulled_from_the_registry(bare: Sandbox) -> None:
    install = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {PACKAGES}"
    inside(
        bare, f"export DEBIAN_FRONTEND=noninteractive; {install} >/tmp/apt.log 2>&1 || {{ cat /tmp/apt.log; exit 1; }}"
    )
    assert inside(bare, "docker images -q; systemctl is-active docker") == "active"
    inside(bare, "docker pull -q localhost:5000/redis:8")
    assert inside(bare, "docker run --rm --entrypoint redis-server localhost:5000/redis:8 --version").startswith(
        "Redis"
    )


def test_reset_brings_back_the_bare_state_under_the_same_keys(bare: Sandbox) -> None:
    identity = {path.name: path.read_text() for path in bare.folder.iterdir() if path.name != "sandbox.json"}
    inside(bare, "mkdir -p /opt/pazpaz /var/lib/docker/left; echo pazpaz:other | chpasswd")
    lifecycle.reset(BARE)
    assert inside(bare, "ls -A /opt /var/lib/docker; command -v docker || true") == "/opt:\n\n/var/lib/docker:"
    after = {path.name: path.read_text() for path in bare.folder.iterdir() if path.name != "sandbox.json"}
    assert after == identity
    assert ssh(bare, "sudo -S -p '' id -u", stdin=identity["sudo_password"]) == "0"


def test_the_client_comes_from_another_address_than_the_operator(equipped: Sandbox) -> None:
    said = client.run(EQUIPPED, ["ssh", EQUIPPED, "echo $SSH_CONNECTION"])
    assert said.ok, said.stderr
    assert said.stdout.split()[0] == client.address(EQUIPPED)
    assert ssh(equipped, "echo $SSH_CONNECTION").split()[0] != client.address(EQUIPPED)


def test_a_firewall_rule_for_one_address_cuts_off_the_other(equipped: Sandbox) -> None:
    inside(equipped, "systemd-run --quiet --unit=test-port python3 -m http.server 9999")
    inside(equipped, "curl -s --retry 20 --retry-connrefused --retry-delay 0 -o /dev/null http://127.0.0.1:9999/")
    try:
        assert (from_here(equipped), from_client(equipped)) == (0, 0)
        inside(equipped, "ufw allow 22/tcp && ufw --force enable")
        assert (from_here(equipped), from_client(equipped)) == (28, 28)
        inside(equipped, f"ufw allow from {client.address(EQUIPPED)} to any port 9999")
        assert (from_here(equipped), from_client(equipped)) == (28, 0)
    finally:
        inside(equipped, "systemctl stop test-port; ufw --force reset")


def test_the_client_keeps_its_address_when_the_server_is_reset(equipped: Sandbox) -> None:
    before = client.address(EQUIPPED)
    lifecycle.reset(EQUIPPED)
    assert client.address(EQUIPPED) == before
    assert client.run(EQUIPPED, ["ssh", EQUIPPED, "id -un"]).stdout == "pazpaz\n"
    assert ssh(equipped, "id -un") == "pazpaz"


def test_down_leaves_neither_server_nor_client(equipped: Sandbox) -> None:
    assert lifecycle.down(EQUIPPED)
    listed = run("docker", "container", "ls", "--all", "--format", "{{.Names}}").stdout.split()
    assert not {equipped.container, equipped.client} & set(listed)
    assert equipped.volume not in run("docker", "volume", "ls", "--quiet").stdout.split()
    assert not equipped.folder.exists()
