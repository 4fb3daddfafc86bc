"""Who may come in: the SSH server's settings, accounts, keys, sudo's rules, jobs of cron, and who is in now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact, GateFact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

NO_LOGIN = ("/nologin", "/false", "/sync", "/halt", "/shutdown")
PASSWD_FIELDS = 7
KEYS_SCRIPT = """for file in /root/.ssh/authorized_keys* /home/*/.ssh/authorized_keys*; do
[ -f "$file" ] || continue
ssh-keygen -lf "$file" 2>/dev/null | while IFS= read -r line; do printf '%s\\t%s\n' "$file" "$line"; done
done
exit 0"""
SUDO_SCRIPT = 'sudo -l -U "${SUDO_USER:-root}"; grep -rhsE "NOPASSWD|!authenticate" /etc/sudoers /etc/sudoers.d | grep -vE "^[[:space:]]*#" | sed "s/^/unasked: /"; exit 0'
CRON_PLACES = ("/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/var/spool/cron")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sshd:
    """What the SSH server's configuration comes to (`sshd -T`)."""

    password_login: bool
    root_login: str
    empty_passwords: bool
    settings: dict[str, str]


def sshd_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask the server itself: it reads the same files as the running one."""
    return {"settings": Command(("sshd", "-T"), sudo=True, timeout=10)}


def parse_sshd(results: Mapping[str, Result], _parameters: Parameters) -> Sshd:
    """Read `keyword value` lines."""
    settings: dict[str, str] = {}
    for line in results["settings"].stdout.splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key.lower(), value)
    if "passwordauthentication" not in settings:
        raise ParseError("sshd -T", results["settings"].stdout[:200])
    keyboard = settings.get("kbdinteractiveauthentication", "no") == "yes" and settings.get("usepam", "no") == "yes"
    return Sshd(
        password_login=settings["passwordauthentication"] == "yes" or keyboard,
        root_login=settings.get("permitrootlogin", ""),
        empty_passwords=settings.get("permitemptypasswords", "no") == "yes",
        settings={
            key: settings[key]
            for key in ("port", "passwordauthentication", "kbdinteractiveauthentication", "permitrootlogin", "pubkeyauthentication", "permitemptypasswords", "maxauthtries", "maxsessions", "x11forwarding", "allowusers")
            if key in settings
        },
    )  # fmt: skip


sshd = Fact("sshd", sshd_commands, parse_sshd)


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts that can log in, those that are root, those that may become root, and the authorised keys."""

    login: tuple[str, ...]
    root: tuple[str, ...]
    sudo: tuple[str, ...]
    docker: tuple[str, ...]
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """A key that lets somebody in: the file, the fingerprint, the comment."""

    file: str
    fingerprint: str
    comment: str


def accounts_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask for accounts and groups, and for the fingerprints of all authorised keys."""
    return {
        "passwd": Command(("getent", "passwd"), timeout=10),
        # exit code 2: one of the groups does not exist
        "groups": Command(("getent", "group", "sudo", "wheel", "admin", "docker"), expect={0: "ok", 2: "some do not exist"}, timeout=10),
        "keys": Command(("sh", "-c", KEYS_SCRIPT), sudo=True, timeout=10),
    }  # fmt: skip


def parse_accounts(results: Mapping[str, Result], _parameters: Parameters) -> Accounts:
    """Read passwd(5), group(5) and `file<TAB>bits fingerprint comment (type)` lines."""
    login, root = [], []
    for line in results["passwd"].stdout.splitlines():
        fields = line.split(":")
        if len(fields) != PASSWD_FIELDS:
            raise ParseError("a line of passwd", line)
        if fields[2] == "0":
            root.append(fields[0])
        if not fields[6].endswith(NO_LOGIN):
            login.append(fields[0])
    members: dict[str, list[str]] = {}
    for line in results["groups"].stdout.splitlines():
        name, _, _, listed = line.split(":")
        members[name] = [item for item in listed.split(",") if item]
    keys = []
    for line in results["keys"].stdout.splitlines():
        file, _, rest = line.partition("\t")
        words = rest.split(" ")
        keys.append(Key(file, words[1], " ".join(words[2:-1])))
    sudo = {*root, *members.get("sudo", []), *members.get("wheel", []), *members.get("admin", [])}
    return Accounts(
        tuple(sorted(login)), tuple(sorted(root)), tuple(sorted(sudo)), tuple(sorted(members.get("docker", []))), tuple(keys)
    )  # fmt: skip


accounts = Fact("accounts", accounts_commands, parse_accounts)


@dataclass(frozen=True, slots=True)
class SudoRules:
    """What the operator may do through sudo, and every rule on the server that asks for no password."""

    user: str
    allowed: tuple[str, ...]
    unasked: tuple[str, ...]


def sudo_rules_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask sudo for the operator's rules; look for rules without a password."""
    return {"rules": Command(("sh", "-c", SUDO_SCRIPT), sudo=True, timeout=10)}


def parse_sudo_rules(results: Mapping[str, Result], _parameters: Parameters) -> SudoRules:
    r"""Read `sudo -l` (sudo(8)): the rules stand indented under the line that names the user.

    >>> from types import SimpleNamespace as N
    >>> parse_sudo_rules({"rules": N(stdout="User ada may run the following commands on srv:\n    (ALL : ALL) ALL\n")}, None)
    SudoRules(user='ada', allowed=('(ALL : ALL) ALL',), unasked=())
    """
    user, allowed, unasked = "", [], []
    for line in results["rules"].stdout.splitlines():
        named = re.match(r"User (\S+) may run the following commands", line)
        if named:
            user = named[1]
        elif line.startswith("unasked: "):
            unasked.append(" ".join(line.removeprefix("unasked: ").split()))
        elif user and line.startswith("    "):
            allowed.append(" ".join(line.split()))
    if not user and "is not allowed to run sudo" not in results["rules"].stdout:
        raise ParseError("sudo -l", results["rules"].stdout[:200])
    return SudoRules(user, tuple(allowed), tuple(unasked))


sudo_rules = Fact("sudo_rules", sudo_rules_commands, parse_sudo_rules)


def cron_commands(_parameters: Parameters) -> dict[str, Command]:
    """List all files that cron reads."""
    # exit code 1: one of the places does not exist
    return {
        "files": Command(("find", *CRON_PLACES, "-type", "f", "!", "-name", ".placeholder", "-print0"), sudo=True, expect={0: "ok", 1: "some do not exist"}, timeout=10)
    }  # fmt: skip


def parse_cron(results: Mapping[str, Result], _parameters: Parameters) -> tuple[str, ...]:
    """Read NUL-separated paths."""
    return tuple(sorted(path for path in results["files"].stdout.split("\0") if path))


cron = Fact("cron", cron_commands, parse_cron)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to the SSH server that stands now."""

    local: str
    peer: str


def sessions_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask for established connections; `who` misses those without a terminal."""
    del parameters
    return {"ss": Command(("ss", "-H", "--no-queues", "-tn", "state", "established", "( sport = :22 )"), timeout=10)}


def parse_sessions(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Session, ...]:
    """Read the last two fields of each line: local and peer address."""
    found = []
    for line in results["ss"].stdout.splitlines():
        words = [word for word in line.split() if ":" in word]
        if len(words) < 2:  # noqa: PLR2004 (local and peer)
            raise ParseError("a line of ss", line)
        found.append(Session(words[0], words[1]))
    return tuple(found)


sessions = Fact("sessions", sessions_commands, parse_sessions)


@dataclass(frozen=True, slots=True)
class Login:
    """How this run came in: the pinned host key, how it was let in, what else the server offers, the time there and back."""

    host: str
    port: int
    user: str
    server: str
    key_type: str
    fingerprint: str
    authenticated_by: str
    offered: tuple[str, ...]
    round_trip_milliseconds: float


def read_login(gate: Any, _parameters: Parameters) -> Login:
    """Read it from the connection, which has refused any host key but the pinned one."""
    peer = gate.open()
    return Login(
        host=peer.host,
        port=peer.port,
        user=peer.user,
        server=peer.server_version,
        key_type=peer.key_type,
        fingerprint=peer.fingerprint,
        authenticated_by=peer.authenticated_by,
        offered=tuple(gate.offered_authentication()),
        round_trip_milliseconds=round(gate.round_trip_seconds() * 1000, 1),
    )


login = GateFact("login", read_login)
