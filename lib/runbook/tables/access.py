"""Who may come in: this login, the accounts and their keys, who is in now, and what sudo allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table, duration
from runbook.tables.verdicts import findings_of, reason_of, state_of, titled

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.access import Accounts, Login, Session, Sshd, SudoRules
    from runbook.verdict import Verdicts


@shown("login")
def ssh(fact: Login, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return how this run came in, what else the server offers, and the settings that decide it."""
    seen: list[tuple[str, str, tuple[str, ...]]] = [
        ("host key", f"{fact.key_type} {fact.fingerprint}, the pinned one", ("access.host-key",)),
        ("logged in as", f"{fact.user}, by {fact.authenticated_by}", ()),
        ("the server offers", ", ".join(fact.offered) or "nothing else", ()),
        ("round trip", duration(fact.round_trip_milliseconds / 1000), ("access.round-trip",)),
    ]
    sshd: Sshd | Missing = facts.get("sshd")
    if isinstance(sshd, Missing):
        seen.append(("the server's settings", f"no evidence: {sshd.reason}", ("access.sshd",)))
    else:
        seen += [
            ("password login", "on" if sshd.password_login else "off", ("access.password-login",)),
            ("login as root", sshd.root_login, ("access.root-login",)),
            ("empty passwords", "taken" if sshd.empty_passwords else "refused", ("access.empty-passwords",)),
        ]
    rows: list[tuple[Cell, ...]] = []
    for what, value, checks in seen:
        found = findings_of(verdicts, None, *checks) if checks else []
        rows.append(
            (state_of(found), what, value, "; ".join(row.limit for row in found if row.limit), reason_of(found))
        )
    return Table.of(("state", "what", "seen", "limit", "finding"), rows, title=f"In as {fact.user} on {fact.server}")


@shown("accounts")
def accounts(fact: Accounts, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return who can log in, who is or may become root, and with how many keys."""
    rows: list[tuple[Cell, ...]] = []
    for name in sorted({*fact.login, *fact.root, *fact.sudo, *fact.docker}):
        home = "/root/" if name == "root" else f"/home/{name}/"
        known = sum(1 for key in fact.keys if key.file.startswith(home))
        root = "is root" if name in fact.root else "may become root" if name in {*fact.sudo, *fact.docker} else "no"
        rows.append((name, name in fact.login, root, name in fact.docker, known))
    found = findings_of(
        verdicts, None, "access.accounts", "access.root-accounts", "access.sudo-accounts", "access.keys"
    )
    title = f"{count(len(fact.login), 'account')} can log in, {count(len(fact.keys), 'key')} let somebody in"
    columns = ("account", "can log in", "root", "controls Docker", "keys")
    return Table(columns, tuple(rows), titled(title, found), reason_of(found))


@shown("accounts")
def keys(fact: Accounts, _facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return every key that lets somebody in."""
    rows = [(key.file, key.fingerprint, key.comment) for key in fact.keys]
    return Table.of(("file", "fingerprint", "comment"), rows, title=count(len(fact.keys), "authorised key"))


@shown("sessions")
def logins(fact: tuple[Session, ...], _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the SSH connections that stand now, this run's own among them, counted by where they come from."""
    peers: dict[str, int] = {}
    for item in fact:
        place = item.peer.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
        peers[place] = peers.get(place, 0) + 1
    found = findings_of(verdicts, None, "access.sessions")
    rows = [(place, number) for place, number in sorted(peers.items())]
    title = f"{count(len(fact), 'connection')} from {count(len(peers), 'place')}, this run's own among them"
    return Table.of(("from", "connections"), rows, title=title, note=reason_of(found))


@shown("sudo_rules")
def sudo(fact: SudoRules, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what the operator may do as root, and rules of anybody that ask for no password."""
    found = findings_of(verdicts, None, "access.sudo")
    rows: list[tuple[Cell, ...]] = [
        (state_of(found), f"{fact.user} may", rule, reason_of(found)) for rule in fact.allowed
    ]
    unasked = findings_of(verdicts, None, "access.sudo-unasked", "access.nopasswd")
    rows += [(state_of(unasked), "without a password", rule, reason_of(unasked)) for rule in fact.unasked]
    title = f"{fact.user} may run {count(len(fact.allowed), 'rule')} as root; {count(len(fact.unasked), 'rule')} ask for no password"
    return Table.of(
        ("state", "who", "rule", "finding"),
        rows,
        title=title if fact.user else "The operator is not allowed to run sudo.",
    )
