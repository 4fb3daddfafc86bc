"""Who may come in: how we did, what the SSH server allows, accounts, keys, sudo, cron."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

ACCESS, BREACH = "01-access/ssh-and-sudo", "09-emergency/security-breach"


def login(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The host key is the pinned one, and the way there and back is short."""
    found = facts.get("login")
    if isinstance(found, Missing):
        return [unknown("access.host-key", "ssh", found, next_notebook=ACCESS)]
    limit = parameters.limits.round_trip_milliseconds
    return [
        Verdict(
            State.OK,
            "access.host-key",
            "ssh",
            "the server showed the pinned key; any other would have been refused",
            value=found.fingerprint,
            limit="pinned",
            evidence=found.key_type,
        ),
        Verdict(
            state_when_high(found.round_trip_milliseconds, limit),
            "access.round-trip",
            "ssh",
            "round trip",
            value=f"{found.round_trip_milliseconds:.0f} ms",
            limit=threshold_text(limit, "ms"),
        ),
    ]


def sshd(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Nobody comes in with a password, nor as root."""
    found = facts.get("sshd")
    if isinstance(found, Missing):
        return [unknown("access.password-login", "sshd", found, next_notebook=ACCESS)]
    wanted = parameters.access
    return [
        judge_condition(
            not found.password_login or wanted.password_login,
            "access.password-login",
            "sshd",
            ok="as expected",
            bad="passwords are accepted: that is an attack surface, not a backup; turn it off with `PasswordAuthentication no` in /etc/ssh/sshd_config.d/",
            state=State.WARNING,
            value="yes" if found.password_login else "no",
            limit="no",
            evidence="sshd -T: passwordauthentication, kbdinteractiveauthentication",
            next=ACCESS,
        ),
        judge_condition(
            found.root_login in {"no", "prohibit-password", "without-password", "forced-commands-only"}
            or wanted.root_login,
            "access.root-login",
            "sshd",
            ok="as expected",
            bad="root may log in with a password",
            value=found.root_login,
            limit="no",
            evidence=f"sshd -T: permitrootlogin {found.root_login}",
            next=BREACH,
        ),
        judge_condition(
            not found.empty_passwords,
            "access.empty-passwords",
            "sshd",
            ok="refused",
            bad="accounts without a password are let in",
            value="yes" if found.empty_passwords else "no",
            limit="no",
            evidence="sshd -T: permitemptypasswords",
            next=BREACH,
        ),
    ]


def accounts(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """No account, no root account and no key is there that nobody expects."""
    found = facts.get("accounts")
    if isinstance(found, Missing):
        return [unknown("access.accounts", "accounts", found, next_notebook=ACCESS)]
    wanted = parameters.access
    strangers = [name for name in found.root if name != "root"]
    verdicts = [
        judge_condition(
            not strangers,
            "access.root-accounts",
            "accounts",
            ok="root is the only one",
            bad=f"another account is root: {', '.join(strangers)}",
            value=", ".join(found.root),
            limit="root",
            evidence="getent passwd: user id 0",
            next=BREACH,
        )
    ]
    if wanted.login_accounts is not None:
        more = sorted(set(found.login) - set(wanted.login_accounts))
        verdicts.append(
            judge_condition(
                not more,
                "access.accounts",
                "accounts",
                ok="only expected accounts can log in",
                bad=f"nobody expects: {', '.join(more)}",
                state=State.WARNING,
                value=", ".join(found.login),
                limit=", ".join(sorted(wanted.login_accounts)),
                evidence="getent passwd: accounts with a login shell",
                next=BREACH,
            )
        )
    if wanted.sudo_accounts is not None:
        more = sorted({*found.sudo, *found.docker} - set(wanted.sudo_accounts))
        verdicts.append(
            judge_condition(
                not more,
                "access.sudo-accounts",
                "accounts",
                ok="only expected accounts may become root",
                bad=f"nobody expects: {', '.join(more)} (the group docker is as good as root)",
                value=", ".join(sorted({*found.sudo, *found.docker})),
                limit=", ".join(sorted(wanted.sudo_accounts)),
                evidence="getent group sudo wheel admin docker",
                next=BREACH,
            )
        )
    if wanted.authorized_keys is not None:
        count = len(found.keys)
        verdicts.append(
            judge_condition(
                count == wanted.authorized_keys,
                "access.keys",
                "authorized_keys",
                ok="as many keys as expected",
                bad="a key that nobody expects lets somebody in"
                if count > wanted.authorized_keys
                else "an expected key is gone",
                state=State.CRITICAL if count > wanted.authorized_keys else State.WARNING,
                value=str(count),
                limit=str(wanted.authorized_keys),
                evidence="; ".join(f"{key.fingerprint} {key.comment} in {key.file}" for key in found.keys)[:300],
                next=BREACH,
            )
        )
    return verdicts


def sudo(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Sudo works, and asks everybody for a password."""
    found = facts.get("sudo_rules")
    if isinstance(found, Missing):
        return [unknown("access.sudo", "sudo", found, next_notebook=ACCESS)]
    return [
        Verdict(
            State.OK,
            "access.sudo",
            found.user or "operator",
            "sudo works",
            value="; ".join(found.allowed) or "nothing",
            limit="",
            evidence="sudo -l, run through sudo",
        ),
        judge_condition(
            not found.unasked,
            "access.sudo-unasked",
            "sudo",
            ok="a password is always asked for",
            bad="somebody becomes root without a password",
            state=State.WARNING,
            value=str(len(found.unasked)),
            limit="0",
            evidence="; ".join(found.unasked)[:300],
            next=BREACH,
        ),
    ]


def cron(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Cron runs nothing that nobody expects."""
    found = facts.get("cron")
    if isinstance(found, Missing):
        return [unknown("access.cron", "cron", found, next_notebook=ACCESS)]
    expected = parameters.access.cron_files
    if expected is None:
        return []
    more = sorted(set(found) - set(expected))
    return [
        judge_condition(
            not more,
            "access.cron",
            "cron",
            ok="only expected jobs",
            bad=f"nobody expects: {', '.join(more)}",
            state=State.WARNING,
            value=f"{len(found)} files",
            limit=f"{len(expected)} files",
            evidence="find /etc/cron* /var/spool/cron",
            next=BREACH,
        )
    ]
