"""The gate to a real server: keys, timeouts, noisy shells, one session at a time, lost connections."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runbook.commands import Command
from runbook.connection import Connection, long
from runbook.errors import CommandError, CommandTimedOut, ConnectionFailed, ConnectionLost, HostKeyError, SudoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Host
    from runbook.parameters import Parameters

pytestmark = pytest.mark.sandbox


def changed(settings: Parameters, **connection: object) -> Parameters:
    """Return the settings with other ones for the connection."""
    return settings.model_copy(update={"connection": settings.connection.model_copy(update=connection)})


@pytest.fixture(scope="module", autouse=True)
def forgiven(host: Host) -> Iterator[None]:
    """Take back what sshd holds against this address afterwards: it refuses whoever failed to log in too often for a while."""
    yield
    host.sh("systemctl restart ssh")


@pytest.fixture
def sshd_setting(host: Host) -> Iterator[Callable[[str], None]]:
    """Set something in sshd's configuration for one test."""

    def put(line: str) -> None:
        host.sh(f"echo '{line}' > /etc/ssh/sshd_config.d/00-test.conf && systemctl reload ssh && sleep 0.3")

    yield put
    host.sh("rm -f /etc/ssh/sshd_config.d/00-test.conf && systemctl reload ssh && sleep 0.3")


def test_twenty_commands_take_little_more_than_the_slowest(connection: Connection) -> None:
    connection.open()
    begun = time.monotonic()
    results = connection.run_all(
        {f"n{number}": Command(("sh", "-c", f"sleep 0.1; echo {number}")) for number in range(20)}
    )
    assert time.monotonic() - begun < 1.5
    assert [results[f"n{number}"].stdout for number in range(20)] == [f"{number}\n" for number in range(20)]


def test_tcp_nodelay_is_set(connection: Connection) -> None:
    """Without it every message waits 40 ms for a delayed acknowledgement."""
    assert connection.round_trip_seconds(15) < 0.02


def test_works_with_one_session_a_connection(settings: Parameters, sshd_setting: Callable[[str], None]) -> None:
    sshd_setting("MaxSessions 1")
    with Connection(settings) as connection:
        results = connection.run_all({f"n{number}": Command(("echo", str(number))) for number in range(12)})
    assert all(result.ok for result in results.values())


@pytest.mark.parametrize(
    "noise",
    [
        "echo 'Welcome to the server! {\"hello\": 1}'; echo warning >&2",
        "export LC_ALL=de_DE.UTF-8 LANG=de_DE.UTF-8 LANGUAGE=de",
        "alias ls='rm -i'; alias docker='echo no'; docker() { echo shadowed; }; export -f docker",
        "cd /tmp; set -u; export PATH=/usr/bin:/bin",
        "printf 'a line without an end'",
    ],
)
def test_noisy_login_shells_do_not_disturb(host: Host, settings: Parameters, noise: str) -> None:
    host.sh(
        f"cp /home/pazpaz/.bashrc /home/pazpaz/.bashrc.kept; sed -i '1i {noise.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}' /home/pazpaz/.bashrc"
    )
    try:
        with Connection(settings) as connection:
            results = connection.run_all(
                {
                    "ls": Command(("ls", "/no/such/place"), expect={2: "missing"}),
                    "name": Command(("docker", "--version")),
                    "root": Command(("ufw", "status"), sudo=True),
                }
            )
    finally:
        host.sh("mv /home/pazpaz/.bashrc.kept /home/pazpaz/.bashrc")
    assert "No such file or directory" in results["ls"].stderr  # in English whatever the server speaks
    assert results["name"].stdout.startswith("Docker version")
    assert results["root"].stdout.startswith("Status: active")


def test_an_unknown_host_key_is_refused(settings: Parameters, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(HostKeyError) as caught:
        Connection(changed(settings, known_hosts=str(tmp_path / "empty"))).open()
    assert "SHA256:" in str(caught.value)
    assert "ssh-keygen -lf" in str(caught.value)
    assert (tmp_path / "empty").read_text() == ""


def test_a_changed_host_key_is_refused_and_the_advice_works(settings: Parameters, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    known = tmp_path / "known_hosts"
    kind, key = (tmp_path / "other.pub").read_text().split()[:2]
    alias = Path(str(settings.connection.known_hosts)).read_text().split()[0]
    known.write_text(f"{alias} {kind} {key}\n")
    with pytest.raises(HostKeyError, match="HAS CHANGED") as caught:
        Connection(changed(settings, known_hosts=str(known))).open()
    advice = str(caught.value).splitlines()[-1].strip()
    subprocess.run(["sh", "-c", advice], check=True, capture_output=True)
    with Connection(changed(settings, known_hosts=str(known))) as connection:
        assert connection.run(Command(("true",))).ok


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"host": "no-such-host.invalid", "ssh_config": None}, "does not resolve"),
        ({"port": 9}, "Unable to connect"),
        ({"user": "nobody"}, "refused the login"),
        ({"ssh_config": "/no/such/file"}, "does not exist"),
    ],
)
def test_failures_to_connect_say_the_remedy(settings: Parameters, setting: dict[str, object], says: str) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        Connection(changed(settings, **setting)).open()
    assert says in caught.value.reason
    assert caught.value.remedy


def test_a_silent_server_does_not_hang_the_operator(settings: Parameters) -> None:
    import socket  # noqa: PLC0415 (one test)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(ConnectionFailed):
            Connection(changed(settings, port=silent.getsockname()[1], connect_timeout_seconds=2)).open()
        assert time.monotonic() - begun < 10


def test_a_wrong_sudo_password_is_told_once_and_not_tried_again(
    host: Host, settings: Parameters, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("canary-wrong-password")
    secret.chmod(0o600)
    before = host.sh("journalctl -q --no-pager _COMM=sudo | grep -c 'authentication failure' || true")
    with Connection(changed(settings, sudo_password=f"file:{secret}")) as connection:
        with pytest.raises(SudoError) as caught:
            connection.run(Command(("id", "-u"), sudo=True))
        results = connection.run_all({f"n{number}": Command(("id", "-u"), sudo=True) for number in range(3)})
    after = host.sh("journalctl -q --no-pager _COMM=sudo | grep -c 'authentication failure' || true")
    assert "canary" not in str(caught.value)
    assert all(result.sudo_refused and not result.stdout for result in results.values())
    assert int(after) - int(before) <= 1


@pytest.mark.parametrize("rule", ["", "pazpaz ALL=(ALL) NOPASSWD: ALL"])
def test_the_sudo_password_never_reaches_a_commands_input(host: Host, settings: Parameters, rule: str) -> None:
    """Also where sudo does not ask for it: the line must not flow on to the command."""
    host.sh(f"echo '{rule}' > /etc/sudoers.d/90-test; chmod 440 /etc/sudoers.d/90-test")
    try:
        with Connection(settings) as connection:
            assert connection.run(Command(("cat",), sudo=True, stdin="payload\n")).stdout == "payload\n"
            assert connection.run(Command(("id", "-u"), sudo=True)).stdout == "0\n"
    finally:
        host.sh("rm -f /etc/sudoers.d/90-test")


def test_the_sudo_password_is_in_no_process_list(host: Host, settings: Parameters, connection: Connection) -> None:
    password = Path(str(settings.connection.sudo_password).removeprefix("file:")).read_text().strip()
    seen: list[str] = []
    watching = threading.Event()

    def watch() -> None:
        while not watching.is_set():
            seen.append(
                host.sh("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '", check=False)
            )
            seen.append(subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout)

    watcher = threading.Thread(target=watch)
    watcher.start()
    connection.run_all({f"n{number}": Command(("sleep", "1"), sudo=True) for number in range(4)})
    watching.set()
    watcher.join()
    assert len(seen) >= 2
    assert any("sleep" in text for text in seen)
    assert not any(password in text for text in seen)


def test_a_late_command_is_stopped_on_the_server_too(host: Host, connection: Connection) -> None:
    for sudo in (False, True):
        with pytest.raises(CommandTimedOut):
            connection.run(Command(("sleep", "61.5"), timeout=1, sudo=sudo))
    assert host.sh("pgrep -fc '^sleep 61.5' || true").strip() == "0"


def test_an_undeclared_exit_code_raises_with_its_evidence(connection: Connection) -> None:
    with pytest.raises(CommandError) as caught:
        connection.run(Command(("ls", "/no/such/place")))
    assert "exit code 2" in str(caught.value)
    assert "No such file" in str(caught.value)


def test_hostile_values_stay_values_on_the_server(host: Host, connection: Connection) -> None:
    hostile = [
        "; touch /tmp/pwned",
        "$(touch /tmp/pwned)",
        "`touch /tmp/pwned`",
        "x\ntouch /tmp/pwned",
        "' \" \\",
        "--help",
        "☃ ü",
        "y" * 100_000,
        "| tee /tmp/pwned",
        "&& reboot",
    ]
    for sudo in (False, True):
        results = connection.run_all(
            {str(number): Command(("printf", "%s", word), sudo=sudo) for number, word in enumerate(hostile)}
        )
        assert [results[str(number)].stdout for number in range(len(hostile))] == hostile
    assert host.sh("ls /tmp/pwned 2>/dev/null || echo absent").strip() == "absent"


def kill_sessions(host: Host) -> None:
    """Cut every SSH session of the operator, as a broken network or a restarted sshd would."""
    host.sh("pkill -KILL -u pazpaz sshd || pkill -KILL -f 'sshd-session: pazpaz' || true", check=False)


def test_a_read_survives_a_cut_connection(host: Host, connection: Connection) -> None:
    connection.open()
    threading.Timer(0.5, kill_sessions, [host]).start()
    assert connection.run(Command(("sh", "-c", "sleep 1.5; echo done"))).stdout == "done\n"


def test_a_change_is_never_sent_twice(host: Host, connection: Connection) -> None:
    host.sh("rm -f /tmp/counted")
    connection.open()
    threading.Timer(0.7, kill_sessions, [host]).start()
    with pytest.raises(ConnectionLost) as caught:
        connection.run(Command(("sh", "-c", "echo x >> /tmp/counted; sleep 2"), changes=True))
    assert caught.value.unknown
    time.sleep(2)
    assert host.sh("cat /tmp/counted") == "x\n"


def test_a_long_step_survives_a_cut_connection(host: Host, connection: Connection) -> None:
    host.sh("rm -f /tmp/long-step")
    connection.open()
    threading.Timer(1.0, kill_sessions, [host]).start()
    text = long.run(
        connection, "test-survives", Command(("sh", "-c", "sleep 3; echo finished | tee /tmp/long-step"), changes=True)
    )
    assert text == "finished\n"
    assert host.sh("cat /tmp/long-step") == "finished\n"
    assert host.sh("systemctl is-active runbook-test-survives.service || true").strip() == "inactive"


def test_a_long_step_is_found_again_and_can_be_stopped(host: Host, settings: Parameters) -> None:
    step = Command(("sh", "-c", "echo once >> /tmp/long-count; sleep 60"), changes=True)
    host.sh("rm -f /tmp/long-count")
    with Connection(settings) as first:
        assert long.start(first, "test-again", step).phase == "running"
    with Connection(settings) as second:
        assert long.start(second, "test-again", step).phase == "running"
        long.stop(second, "test-again")
        assert long.state(second, "test-again").phase == "absent"
    assert host.sh("cat /tmp/long-count") == "once\n"


def test_follow_yields_as_it_comes_and_stops_on_the_server(host: Host, connection: Connection) -> None:
    begun, lines = time.monotonic(), []
    for text in connection.follow(
        Command(
            ("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo tick$i; sleep 0.3; done; exec sleep 62.5"), timeout=20
        )
    ):
        lines.append(text)
        if "tick3" in text:
            break
    assert time.monotonic() - begun < 3
    assert "".join(lines).startswith("tick1\n")
    time.sleep(2.5)
    assert host.sh("pgrep -fc '^sleep 62.5' || true").strip() == "0"


def test_a_server_without_python_is_reached_through_its_shell(host: Host, settings: Parameters) -> None:
    host.sh("chmod 700 /usr/bin/python3*")  # the operator finds no python3 to run
    host.sh(
        "mkdir -p /tmp/nopython && printf '#!/bin/sh\\nexit 127\\n' > /tmp/nopython/python3 && chmod 755 /tmp/nopython/python3; sed -i '1i PATH=/tmp/nopython:$PATH' /home/pazpaz/.bashrc"
    )
    try:
        with Connection(settings) as connection:
            results = connection.run_all(
                {
                    "a": Command(("printf", "%s", "$(id) ; x 'y'")),
                    "root": Command(("cat",), sudo=True, stdin="payload"),
                    "bad": Command(("false",)),
                }
            )
    finally:
        host.sh("chmod 755 /usr/bin/python3*; rm -r /tmp/nopython; sed -i 1d /home/pazpaz/.bashrc")
    assert results["a"].stdout == "$(id) ; x 'y'"
    assert (results["root"].stdout, results["root"].ok) == ("payload", True)
    assert results["bad"].exit_code == 1


def test_a_jump_host_of_the_operators_own_ssh_configuration_works(settings: Parameters, tmp_path: Path) -> None:
    """The server jumps through itself: alias, ProxyJump, keys per host as in ~/.ssh/config."""
    own = Path(str(settings.connection.ssh_config)).read_text()
    alias = settings.connection.host
    inner = own.replace(f"Host {alias}\n", "Host behind\n    ProxyJump jump\n").replace(
        "HostName 127.0.0.1", "HostName localhost"
    )
    inner = "\n".join("    Port 22" if line.strip().startswith("Port") else line for line in inner.splitlines())
    config = tmp_path / "config"
    config.write_text(own.replace(f"Host {alias}\n", "Host jump\n") + "\n" + inner + "\n")
    with Connection(changed(settings, host="behind", ssh_config=str(config))) as connection:
        assert connection.run(Command(("uname", "-n"))).stdout.strip() == settings.connection.hostname
