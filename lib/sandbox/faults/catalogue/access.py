"""Who gets in: firewall, sshd, sudo, accounts, file modes."""

from sandbox.faults.fault import Fault


def _sshd(name: str, title: str, setting: str, effective: str) -> Fault:
    file = f"/etc/ssh/sshd_config.d/00-{name}.conf"  # the first value that sshd reads counts
    return Fault(
        name=name,
        title=title,
        symptom="nothing, for the users",
        inject=f"echo '{setting}' >{file} && systemctl reload ssh",
        mend=f"rm -f {file} && systemctl reload ssh",
        evidence=f"sshd -T | has -ix '{effective}'",
    )


FAULTS = (
    Fault(
        name="env-readable",
        title=".env.production can be read by everybody on the server",
        symptom="nothing, for the users",
        inject="chmod 0644 .env.production",
        mend="chmod 0600 .env.production",
        evidence='[ "$(stat -c %a .env.production)" = 644 ]',
        sample=True,
    ),
    Fault(
        name="firewall-off",
        title="the firewall is off",
        symptom="nothing, for the users",
        inject="ufw disable >/dev/null",
        mend="ufw --force enable >/dev/null",
        evidence="ufw status | has inactive",
        sample=True,
    ),
    Fault(
        name="firewall-open-port",
        title="the firewall lets port 9999 through, and something listens there",
        symptom="nothing, for the users",
        inject="ufw allow 9999/tcp >/dev/null; systemd-run -q --collect --unit=practice-listener python3 -m http.server -d /var/empty 9999 "
        "|| systemd-run -q --collect --unit=practice-listener python3 -m http.server -d /tmp 9999; sleep 1",
        mend="ufw --force delete allow 9999/tcp >/dev/null; systemctl stop practice-listener 2>/dev/null || true",
        evidence="ufw status | has '^9999/tcp' && ss -Hltn 'sport = 9999' | has .",
    ),
    Fault(
        name="firewall-rule-missing",
        title="the firewall does not let ssh through any more; sessions that are open go on",
        symptom="nobody can log in",
        inject="ufw --force delete allow 22/tcp >/dev/null",
        mend="ufw allow 22/tcp >/dev/null",
        evidence="! ufw status | has '^22/tcp'",
    ),
    Fault(
        name="database-exposed",
        title="the database's port is published to the whole network, past the firewall",
        symptom="nothing, for the users",
        inject="""
keep docker-compose.prod.yml
edit docker-compose.prod.yml 's/^\\( *\\)container_name: pazpaz-db$/&\\n\\1ports: ["5432:5432"]/'
recreate db
""",
        mend="give_back; recreate db",
        evidence="ss -Hltn 'sport = 5432' | has .",
    ),
    _sshd("ssh-empty-passwords", "sshd takes empty passwords", "PermitEmptyPasswords yes", "permitemptypasswords yes"),
    _sshd("ssh-root-login", "sshd lets root in", "PermitRootLogin yes", "permitrootlogin yes"),
    Fault(
        name="ssh-extra-key",
        title="one more key may log in as pazpaz",
        symptom="nothing, for the users",
        inject="""
keep /home/pazpaz/.ssh/authorized_keys
ssh-keygen -q -t ed25519 -N '' -C visitor -f "$kept/key" && cat "$kept/key.pub" >>/home/pazpaz/.ssh/authorized_keys
""",
        mend="give_back",
        evidence="grep -q ' visitor$' /home/pazpaz/.ssh/authorized_keys",
    ),
    Fault(
        name="sudo-without-password",
        title="pazpaz becomes root without a password",
        symptom="nothing, for the users",
        inject="install -m 0440 /dev/null /etc/sudoers.d/99-visitor && echo 'pazpaz ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/99-visitor",
        mend="rm -f /etc/sudoers.d/99-visitor",
        evidence="su pazpaz -c 'sudo -k; sudo -n true' 2>/dev/null",
    ),
    Fault(
        name="second-root",
        title="there is a second account with root's number",
        symptom="nothing, for the users",
        inject="keep /etc/passwd /etc/shadow /etc/group /etc/gshadow; useradd -o -u 0 -g 0 -M -d /root -s /bin/bash visitor",
        mend="give_back",
        evidence="grep -q '^visitor:x:0:' /etc/passwd",
    ),
    Fault(
        name="unknown-cron-job",
        title="a scheduled job that nobody knows runs as root",
        symptom="nothing, for the users",
        inject="echo '*/5 * * * * root /bin/true # visitor' >/etc/cron.d/visitor",
        mend="rm -f /etc/cron.d/visitor",
        evidence="[ -e /etc/cron.d/visitor ]",
    ),
    Fault(
        name="unknown-listener",
        title="an unknown process listens on port 4444, behind the firewall",
        symptom="nothing, for the users",
        inject="systemd-run -q --collect --unit=practice-unknown python3 -m http.server -d /tmp 4444; sleep 1",
        mend="systemctl stop practice-unknown 2>/dev/null || true",
        evidence="ss -Hltn 'sport = 4444' | has .",
    ),
    Fault(
        name="logins-blocked",
        title="too many failed logins have locked the synthetic account out",
        symptom="the synthetic user cannot log in (429), everybody else can",
        inject="redis set login-failures:synthetic@pazpaz.test 99 ex 86400 >/dev/null",
        mend="redis del login-failures:synthetic@pazpaz.test >/dev/null",
        evidence='[ "$(redis get login-failures:synthetic@pazpaz.test)" = 99 ]',
    ),
    Fault(
        name="accounts-disabled",
        title="every account of the application is switched off",
        symptom="nobody can log in (401); health and readiness say ok",
        inject="sql -c 'update users set active = false'",
        mend="sql -c 'update users set active = true'",
        evidence='[ "$(sql -c "select count(*) from users where active")" = 0 ]',
    ),
)
