"""The same probes as health.quick, asked in other ways: one ssh batch, an Ansible playbook, pyinfra.

The probes are taken from the notebook's own facts, so that every way gathers the same. Ansible and pyinfra live in an
environment of their own (tests/benchmarks/requirements.lock), made on first use.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runbook.commands import quote
from runbook.execution import bundles
from runbook.facts import Fact
from runbook.parameters import project_root

if TYPE_CHECKING:
    from runbook.commands import Command
    from runbook.parameters import Parameters

LOCK = Path(__file__).with_name("requirements.lock")


def probes(parameters: Parameters) -> dict[str, Command]:
    """Return the commands that health.quick sends to the server."""
    facts = [fact for fact in bundles.facts("04-health/quick") if isinstance(fact, Fact)]
    return {f"{fact.name}.{name}": asked for fact in facts for name, asked in fact.commands(parameters).items()}


def sudo_password(parameters: Parameters) -> str:
    """Return the operator's sudo password."""
    return Path(str(parameters.connection.sudo_password).removeprefix("file:")).read_text().strip()


def batch(commands: dict[str, Command]) -> str:
    """Return what a person would feed to `ssh host 'bash -s'`; the first line of input after it is the password."""
    lines = ["export LC_ALL=C.UTF-8 PATH=$PATH:/usr/sbin:/sbin"]
    for name, asked in commands.items():
        line = quote(asked.argv)
        if asked.sudo:
            line = f"echo \"$SUDO_PASSWORD\" | sudo -S -p '' {line}"
        elif asked.stdin:
            line = f"printf %s {quote([asked.stdin])} | {line}"
        else:
            line = f"{line} </dev/null"
        lines += [f"echo '== {name}'", line]
    return "\n".join(lines) + "\n"


def ssh(parameters: Parameters) -> list[str]:
    """Return the ssh command line up to the remote command."""
    return ["ssh", "-F", str(parameters.connection.ssh_config), parameters.connection.host]


def run_batch(parameters: Parameters, commands: dict[str, Command]) -> None:
    """Run the batch; raise CalledProcessError when ssh itself fails."""
    script = f"SUDO_PASSWORD={quote([sudo_password(parameters)])}\n{batch(commands)}exit 0\n"
    done = subprocess.run([*ssh(parameters), "bash -s"], input=script, text=True, capture_output=True, check=True)
    assert done.stdout.count("== ") >= len(commands)


def environment() -> Path:
    """Return the bin folder of the alternatives' environment, made on first use."""
    folder = project_root() / ".venv" / f"bench-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]}"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(folder / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check", "-r", str(LOCK)], check=True
        )
        (folder / "ready").touch()
    return folder / "bin"


def ansible(parameters: Parameters, commands: dict[str, Command], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write a playbook with one task a probe; return its command line and environment."""
    tasks = [
        {
            "name": name,
            "ansible.builtin.command": {"argv": [_raw(word) for word in asked.argv]}
            | ({"stdin": _raw(asked.stdin)} if asked.stdin else {}),
            "become": asked.sudo,
            "register": f"probe{number}",
            "changed_when": False,
            "failed_when": False,
        }
        for number, (name, asked) in enumerate(commands.items())
    ]
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (folder / "hosts").write_text(
        f"{parameters.connection.host} ansible_ssh_common_args='-F {parameters.connection.ssh_config}' ansible_python_interpreter=/usr/bin/python3\n"
    )
    (folder / "become").write_text(sudo_password(parameters))
    (folder / "become").chmod(0o600)
    config = (
        "[defaults]\nhost_key_checking=True\nretry_files_enabled=False\n[ssh_connection]\npipelining=True\ncontrol_path_dir="
        + str(folder / "cp")
        + "\n"
    )
    (folder / "ansible.cfg").write_text(config)
    environ = os.environ | {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "LC_ALL": "C.UTF-8", "PYTHONPATH": ""}
    return [
        str(environment() / "ansible-playbook"),
        "-i",
        str(folder / "hosts"),
        "--become-password-file",
        str(folder / "become"),
        str(folder / "play.yml"),
    ], environ


def _raw(text: str) -> str:
    """Keep Ansible's templating off Go templates."""
    return f"{{% raw %}}{text}{{% endraw %}}" if "{{" in text or "{%" in text else text


def pyinfra(parameters: Parameters, commands: dict[str, Command], folder: Path) -> tuple[list[str], dict[str, str]]:
    """Write a deploy with one operation a probe; return its command line and environment."""
    lines = ["from pyinfra.operations import server"]
    for name, asked in commands.items():
        text = f"printf %s {quote([asked.stdin])} | {quote(asked.argv)}" if asked.stdin else quote(asked.argv)
        lines.append(
            f"server.shell(name={name!r}, commands=[{(text + ' >/dev/null 2>&1 || true')!r}], _sudo={asked.sudo}, _ignore_errors=True)"
        )
    (folder / "deploy.py").write_text("\n".join(lines) + "\n")
    data = {
        "ssh_config_file": str(parameters.connection.ssh_config),
        "_sudo_password": sudo_password(parameters),
        "ssh_known_hosts_file": str(parameters.connection.known_hosts),
    }
    (folder / "inventory.py").write_text(f"hosts = [({parameters.connection.host!r}, {data!r})]\n")
    return [str(environment() / "pyinfra"), "-y", str(folder / "inventory.py"), str(folder / "deploy.py")], dict(
        os.environ
    ) | {"PYTHONPATH": ""}
