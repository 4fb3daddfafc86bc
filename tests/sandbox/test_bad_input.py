"""Bad input: one screen that names the input, the reason and the remedy; no traceback; nothing changed."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cli import runbook

from runbook.parameters import project_root

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = pytest.mark.sandbox
ONE_SCREEN = 30
NEEDS_SSH = "02-services/status"  # the health notebooks answer without SSH, too


@pytest.fixture
def checkout(host: Host, tmp_path: Path) -> Path:
    """A folder like a checkout's, whose params may be spoilt; notebooks and library are the real ones."""
    assert host
    (tmp_path / "params").mkdir()
    (tmp_path / "outputs").mkdir()
    shutil.copy(project_root() / "params" / "sandbox.yaml", tmp_path / "params")
    (tmp_path / "notebooks").symlink_to(project_root() / "notebooks")
    return tmp_path


def spoil(checkout: Path, old: str, new: str) -> None:
    """Replace a piece of the params file."""
    path = checkout / "params" / "sandbox.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def refused(checkout: Path, *words: str, says: tuple[str, ...], codes: tuple[int, ...] = (4,)) -> str:
    """Run, and assert that it is refused on one screen; return what was said."""
    done = runbook(*words, outputs=checkout / "outputs", RUNBOOK_ROOT=str(checkout))
    said = done.stdout + done.stderr
    assert done.returncode in codes, said
    assert "Traceback" not in said
    assert len(said.splitlines()) <= ONE_SCREEN, said
    for piece in says:
        assert piece in said, said
    return said


def no_record(checkout: Path) -> bool:
    """Whether nothing was run: no record, no journal."""
    return not list((checkout / "outputs").glob("*.ipynb"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "04-health/quik"), ("no notebook", "did you mean '04-health/quick'")),
        (("run", "../../etc/passwd"), ("no notebook",)),
        (("run", "04-health/quick", "-p", "taget", "sandbox"), ("unknown parameter 'taget'", "did you mean 'target'")),
        (("run", "02-services/control", "-p", "apply", "perhaps"), ("apply", "must be bool", "'perhaps'")),
        (("run", "04-health/quick", "--apply"), ("apply", "only reads", "leave it out")),
        (("run", "04-health/quick", "--depth", "deep"), ("depth", "quick", "full")),
        (("run", "02-services/logs", "-p", "lines", "many"), ("lines", "must be int", "'many'")),
        (("run", "04-health/quick", "--target", "sandbx"), ("sandbx", "did you mean 'sandbox'")),
        (("run", "04-health/quick", "--target", "../x"), ("../x",)),
        (("run", "04-health/quick", "--cell-timeout", "never"), ("never",)),
        (("runn",), ("runn",)),
    ],
)
def test_wrong_words_are_refused_before_anything_starts(
    checkout: Path, words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    refused(checkout, *words, says=says)
    assert no_record(checkout)


def test_a_malformed_params_file_tells_all_its_errors_with_lines(checkout: Path) -> None:
    spoil(checkout, "purpose: practice server", "purpos: practice server")
    spoil(checkout, "environment: sandbox", "environment: moon")
    spoil(checkout, "timer: certbot.timer", "tmier: certbot.timer")
    refused(
        checkout,
        "run",
        "04-health/quick",
        says=("line 4", "did you mean 'purpose'", "line 5", "moon", "tmier", "did you mean 'timer'"),
    )
    assert no_record(checkout)


def test_yaml_that_cannot_be_read_names_the_line(checkout: Path) -> None:
    spoil(checkout, "environment: sandbox", "environment: [sandbox")
    refused(checkout, "run", "04-health/quick", says=("sandbox.yaml", "line", "not valid YAML"))


def test_an_unreachable_host(checkout: Path) -> None:
    spoil(checkout, "connection:\n", "connection:\n  port: 9\n")
    refused(checkout, "run", NEEDS_SSH, says=("cannot be reached", "sandbox status"), codes=(5,))


def test_a_refused_key(checkout: Path, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "stranger")], check=True)
    spoil(checkout, "connection:\n", f"connection:\n  identity_file: {tmp_path / 'stranger'}\n")
    refused(checkout, "run", NEEDS_SSH, says=("refused the login", "authorized_keys"), codes=(5,))


@pytest.mark.parametrize("kind", ["unknown", "changed"])
def test_a_host_key_that_is_not_the_pinned_one(checkout: Path, host: Host, tmp_path: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    known = tmp_path / "known"
    known.write_text(
        f"{host.name} {' '.join((tmp_path / 'other.pub').read_text().split()[:2])}\n" if kind == "changed" else ""
    )
    before = known.read_text()
    spoil(checkout, 'known_hosts: "{sandbox_home}/{instance}/known_hosts"', f"known_hosts: {known}")
    refused(checkout, "run", NEEDS_SSH, says=("SHA256:", "ssh-keygen -lf"))
    assert known.read_text() == before


def test_a_wrong_sudo_password(checkout: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary-not-the-password")
    secret.chmod(0o600)
    spoil(checkout, '"file:{sandbox_home}/{instance}/sudo_password"', f"file:{secret}")
    said = refused(checkout, "run", NEEDS_SSH, says=("sudo refused",), codes=(4, 5))
    assert "canary" not in said


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("env:RUNBOOK_NOT_SET", "export RUNBOOK_NOT_SET"),
        ("file:/no/such/file", "does not exist"),
        ("hunter2canary", "sudo_password"),
    ],
)
def test_a_secret_that_cannot_be_had(checkout: Path, reference: str, says: str) -> None:
    spoil(checkout, '"file:{sandbox_home}/{instance}/sudo_password"', reference)
    said = refused(checkout, "run", "04-health/quick", says=(says,), codes=(4, 5))
    assert "hunter2canary" not in said


@pytest.mark.parametrize("spoilt", ["a file", "read-only"])
def test_outputs_that_cannot_be_written(checkout: Path, spoilt: str) -> None:
    outputs = checkout / "outputs"
    outputs.rmdir()
    if spoilt == "a file":
        outputs.write_text("in the way")
        refused(checkout, "run", "04-health/quick", says=("outputs",), codes=(4, 5))
        assert outputs.read_text() == "in the way"
        return
    outputs.mkdir()
    # root may write anywhere, so the folder is on a file system that nobody may write to
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(outputs)], check=True)
    try:
        refused(checkout, "run", "04-health/quick", says=("outputs",), codes=(4, 5))
    finally:
        subprocess.run(["umount", str(outputs)], check=True)


def test_the_wrong_server_is_not_worked_on(checkout: Path) -> None:
    spoil(checkout, 'hostname: "{hostname}"', "hostname: another")
    refused(checkout, "run", "04-health/quick", says=("does not apply", "another"))


def test_params_check_says_the_same_without_running(checkout: Path) -> None:
    spoil(checkout, "purpose: practice server", "purpos: practice server")
    refused(checkout, "params", "check", "sandbox", says=("line 4", "purpos"))
    assert not list((checkout / "outputs").iterdir())
