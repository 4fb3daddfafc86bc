"""The parts of the sandbox that need no engine: names, hashes, ports, keys, what this machine hands to builds."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import tarfile
from configparser import ConfigParser
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from sandbox import base, bucket, context, engine, golden, host, identity, images, machine, ports, state
from sandbox.errors import BadNameError, SandboxError
from sandbox.kind import Kind
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a space in its path."""
    place = tmp_path / "a state folder"
    monkeypatch.setenv("RUNBOOK_SANDBOX_HOME", str(place))
    return place


@pytest.mark.parametrize("name", ["sandbox", "blue", "a", "9", "a-b", "x" * 30])
def test_a_name_that_can_be_a_host_name_is_taken(name: str) -> None:
    assert state.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "a-", "a_b", "a b", "../up", "a/b", "x" * 31, "--all", "a\n", "ü", "a;rm", "$(id)"]
)
def test_any_other_name_is_refused_with_the_name_in_the_message(name: str) -> None:
    with pytest.raises(BadNameError) as caught:
        state.check_name(name)
    assert repr(name) in str(caught.value)


def test_sandboxes_of_another_state_folder_have_other_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Sandbox.named("blue")
    monkeypatch.delenv("RUNBOOK_SANDBOX_HOME")
    here = Sandbox.named("blue")
    assert here.container == "runbook-sandbox-blue"
    assert elsewhere.container != here.container
    assert elsewhere.volume != here.volume


def test_forgetting_a_sandbox_leaves_a_stranger_s_file() -> None:
    sandbox = Sandbox.named("blue")
    identity.create(sandbox, {"ssh": 2222})
    (sandbox.folder / "letter.txt").write_text("mine")
    state.forget(sandbox)
    assert [path.name for path in sandbox.folder.iterdir()] == ["letter.txt"]


def test_forgetting_a_sandbox_removes_its_folder() -> None:
    sandbox = Sandbox.named("blue")
    identity.create(sandbox, {"ssh": 2222})
    state.write_ports(sandbox, {"ssh": 2222})
    assert state.known() == ["blue"]
    state.forget(sandbox)
    assert not sandbox.folder.exists()
    assert state.known() == []


def test_a_torn_sandbox_json_counts_as_none() -> None:
    sandbox = Sandbox.named("blue")
    sandbox.folder.mkdir(parents=True)
    (sandbox.folder / "sandbox.json").write_text('{"name": "blue", "gol')
    assert state.read_about(sandbox) is None


def test_private_files_are_private_from_the_start(tmp_path: Path) -> None:
    os.umask(old := os.umask(0))
    try:
        os.umask(0)
        state.write_private(tmp_path / "secret", "canary")
    finally:
        os.umask(old)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_same_files_have_the_same_hash_wherever_and_whenever_they_lie(tmp_path: Path) -> None:
    files = {"in/a.txt": "1", "in/deep/b.txt": "2"}
    one, two = tree(tmp_path / "one", files), tree(tmp_path / "two", dict(reversed(files.items())))
    os.utime(two / "in/a.txt", (0, 0))
    assert context.Inputs.read("in", root=one).fingerprint() == context.Inputs.read("in", root=two).fingerprint()


@pytest.mark.parametrize("change", ["content", "name", "mode", "new"])
def test_any_change_of_an_input_changes_the_hash(tmp_path: Path, change: str) -> None:
    folder = tree(tmp_path, {"in/a.txt": "1", "in/b.txt": "2"})
    before = context.Inputs.read("in", root=folder).fingerprint()
    file = folder / "in/a.txt"
    match change:
        case "content":
            file.write_text("3")
        case "name":
            file.rename(folder / "in/c.txt")
        case "mode":
            file.chmod(0o755)
        case "new":
            (folder / "in/new.txt").touch()
    assert context.Inputs.read("in", root=folder).fingerprint() != before


def test_caches_are_no_inputs(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"in/a.py": "1"})
    before = context.Inputs.read("in", root=folder).fingerprint()
    tree(folder, {"in/__pycache__/a.cpython-313.pyc": "x", "in/.mypy_cache/3.13/a.json": "x", "in/b.pyc": "x"})
    assert context.Inputs.read("in", root=folder).fingerprint() == before


def test_joined_facts_do_not_collide() -> None:
    assert context.fingerprint("ab", "c") != context.fingerprint("a", "bc")


def test_an_archive_holds_the_files_as_they_were_read(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"in/a.sh": "echo"})
    (folder / "in/a.sh").chmod(0o755)
    inputs = context.Inputs.read("in", root=folder)
    (folder / "in/a.sh").write_text("edited meanwhile")
    with tarfile.open(fileobj=io.BytesIO(inputs.archive({"machine/x": b"y"}))) as tar:
        entries = {entry.name: (entry.mode, tar.extractfile(entry).read()) for entry in tar}  # type: ignore[union-attr]  # all are files
    assert entries == {"in/a.sh": (0o755, b"echo"), "machine/x": (0o644, b"y")}


def test_preferred_ports_are_chosen_where_they_are_free() -> None:
    chosen = ports.choose()
    assert set(chosen) == {"ssh", "https", "http", "test"}
    assert len(set(chosen.values())) == 4
    for purpose, port in chosen.items():
        assert ports.PREFERRED[purpose] <= port < ports.PREFERRED[purpose] + 200


def test_a_port_in_use_or_promised_is_passed_over() -> None:
    free = ports.choose()
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", free["ssh"]))
        busy.listen()
        second = ports.choose(taken={free["https"]})
    assert second["ssh"] > free["ssh"]
    assert second["https"] > free["https"]


def test_every_port_is_published_on_loopback_only() -> None:
    options = ports.publish_options({"ssh": 1, "https": 2, "http": 3, "test": 4})
    assert options == [
        "--publish=127.0.0.1:1:22",
        "--publish=127.0.0.1:2:443",
        "--publish=127.0.0.1:3:80",
        "--publish=127.0.0.1:4:9999",
    ]


def test_ssh_reads_the_config_as_meant() -> None:
    sandbox = Sandbox.named("blue")
    identity.create(sandbox, {"ssh": 2299})
    done = subprocess.run(
        ["ssh", "-G", "-F", sandbox.folder / "ssh_config", "blue"], capture_output=True, text=True, check=True
    )
    read = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert (read["hostname"], read["port"], read["user"]) == ("127.0.0.1", "2299", "pazpaz")
    assert read["stricthostkeychecking"] == "true"
    assert read["identitiesonly"] == "yes"
    assert read["hostkeyalias"] == "blue"
    assert read["identityfile"].strip('"') == str(sandbox.folder / "id_ed25519")


@pytest.mark.parametrize("who", ["blue", "[127.0.0.1]:2299"])
def test_known_hosts_pins_the_host_key_under_alias_and_address(who: str) -> None:
    sandbox = Sandbox.named("blue")
    identity.create(sandbox, {"ssh": 2299})
    done = subprocess.run(
        ["ssh-keygen", "-F", who, "-f", sandbox.folder / "known_hosts"], capture_output=True, text=True, check=True
    )
    key = (sandbox.folder / "ssh_host_ed25519_key.pub").read_text().split()[1]
    assert done.stdout.split()[-1] == key


def test_private_and_public_key_belong_together(tmp_path: Path) -> None:
    private, public = identity.new_key("somebody")
    state.write_private(tmp_path / "key", private)
    derived = subprocess.run(
        ["ssh-keygen", "-y", "-f", tmp_path / "key"], capture_output=True, text=True, check=True
    ).stdout
    assert derived.split()[:2] == public.split()[:2]


def test_identity_stays_when_it_is_made_again() -> None:
    sandbox = Sandbox.named("blue")
    identity.create(sandbox, {"ssh": 2222})
    before = {path.name: path.read_text() for path in sandbox.folder.iterdir()}
    identity.create(sandbox, {"ssh": 2222})
    assert {path.name: path.read_text() for path in sandbox.folder.iterdir()} == before


def test_the_server_does_not_get_the_operator_s_private_key() -> None:
    sandbox = Sandbox.named("blue")
    identity.create(sandbox, {"ssh": 2222})
    private = (sandbox.folder / "id_ed25519").read_text()
    with identity.for_server(sandbox) as folder:
        laid_in = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(laid_in) == {"ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "sudo_password", "authorized_keys"}
    assert private not in laid_in.values()
    assert not folder.exists()


def test_two_sandboxes_share_no_secret() -> None:
    blue, green = Sandbox.named("blue"), Sandbox.named("green")
    for sandbox in (blue, green):
        identity.create(sandbox, {"ssh": 2222})
    for name in ("id_ed25519", "ssh_host_ed25519_key", "sudo_password"):
        assert (blue.folder / name).read_text() != (green.folder / name).read_text()


def test_pip_settings_that_a_container_can_use_are_handed_on() -> None:
    settings = {
        "index-url": "https://packages.example/simple",
        "extra-index-url": "file:///srv/simple https://more.example/simple",
        "find-links": "/opt/wheels",
        "constraints": "/etc/constraints.txt",
        "trusted-host": "packages.example",
        "timeout": "120",
    }
    config = ConfigParser(interpolation=None)
    config.read_string(machine.pip_config(settings, with_ca=True))
    read = dict(config["global"])
    assert read["index-url"] == "https://packages.example/simple"
    assert read["extra-index-url"] == "https://more.example/simple"
    assert read["trusted-host"] == "packages.example"
    assert read["timeout"] == "120"
    assert read["cert"] == "/build/machine/ca.crt"
    assert not {"find-links", "constraints"} & set(read)


def test_pip_settings_come_from_files_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://file.example/simple\nretries = 9\nextra-index-url =\n  https://a.example\n  https://b.example\n"
    )
    environment = {"PIP_INDEX_URL": "https://environment.example/simple", "PIP_CONFIG_FILE": ""}
    settings = machine.pip_settings(environment, tmp_path)
    assert settings["index-url"] == "https://environment.example/simple"
    assert settings["extra-index-url"].split() == ["https://a.example", "https://b.example"]
    assert settings["retries"] == "9"


def test_without_an_authority_of_its_own_pip_uses_its_list() -> None:
    assert "cert" not in machine.pip_config({}, with_ca=False)


def test_the_machine_s_authorities_come_from_where_pip_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").write_text("our authority")
    monkeypatch.setenv("PIP_CERT", str(tmp_path / "ca.pem"))
    assert machine.ca_bundle() == "our authority"


@pytest.mark.parametrize(
    ("contents", "stale"),
    [(str(os.getpid()), False), ("4194305", True), ("", True), ("no number", True)],
)
def test_a_pid_file_is_stale_unless_its_process_runs(tmp_path: Path, contents: str, *, stale: bool) -> None:
    (tmp_path / "d.pid").write_text(contents)
    assert engine.is_stale(tmp_path / "d.pid", "python") is stale


@pytest.mark.parametrize(
    ("version", "dropped"),
    [
        ("20.10.24+dfsg1", ["--cap-drop=SYS_RESOURCE"]),
        ("19.03.8", ["--cap-drop=SYS_RESOURCE"]),
        ("23.0.0", []),
        ("26.1.5+dfsg1", []),
        ("dev", []),
    ],
)
def test_only_engines_that_need_it_drop_a_capability(version: str, dropped: list[str]) -> None:
    assert host.capabilities_dropped(version) == dropped


def test_a_pid_file_of_another_program_is_stale(tmp_path: Path) -> None:
    (tmp_path / "d.pid").write_text(str(os.getpid()))
    assert engine.is_stale(tmp_path / "d.pid", "dockerd-that-was")


def test_no_pid_file_is_not_stale(tmp_path: Path) -> None:
    assert not engine.is_stale(tmp_path / "d.pid", "python")


def test_names_follow_from_the_tree_alone() -> None:
    one, two = golden.of_this_tree(), golden.of_this_tree()
    assert one == two
    assert one.hash != one.seed_hash


def compose() -> dict[str, dict[str, str]]:
    file = context.ROOT / "host/production/opt/pazpaz/docker-compose.prod.yml"
    services: dict[str, dict[str, str]] = YAML(typ="safe").load(file)["services"]
    return services


def test_every_image_of_the_stack_is_in_the_registry() -> None:
    deployed = {image.inside for image in images.SERVICE_IMAGES if image.deployed}
    wanted = {re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service["image"]) for service in compose().values()}
    assert wanted == deployed


def test_the_stack_has_the_names_of_the_paper() -> None:
    names = {service["container_name"] for service in compose().values()}
    assert names == {
        f"pazpaz-{service}" for service in ("nginx", "api", "db", "redis", "minio", "clamav", "frontend", "arq-worker")
    }


def test_every_image_is_built_from_a_stage_of_the_dockerfile() -> None:
    stages = set(re.findall(r"^FROM .* AS (\S+)$", (context.ROOT / "images/Dockerfile").read_text(), re.MULTILINE))
    assert {image.target for image in images.SERVICE_IMAGES} <= stages


def test_the_machine_s_files_reach_builder_stages_only() -> None:
    for name in ("host/Dockerfile", "images/Dockerfile"):
        stage = ""
        for line in (context.ROOT / name).read_text().splitlines():
            if line.startswith("FROM "):
                stage = line.rpartition(" AS ")[2]
            if "machine/" in line and not line.startswith("#"):
                assert stage == "builder", f"{name}: {line}"


def test_the_base_is_named_by_its_suite() -> None:
    assert base.BASE.endswith(base.SUITE)


def stages(name: str) -> dict[str, str]:
    """Return the text of every stage of a Dockerfile, by its name."""
    parts = re.split(r"^FROM (?:\S+) AS (\S+)$", (context.ROOT / name).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_kind_of_server_is_a_stage_and_has_an_image_of_its_own() -> None:
    assert {str(kind) for kind in Kind} <= set(stages("host/Dockerfile"))
    assert len({images.host_tag(kind, "0123") for kind in Kind}) == len(Kind)


@pytest.mark.parametrize("word", ["docker.io", "docker-cli", "docker-compose", "certbot", "restic", "/opt/pazpaz"])
def test_a_bare_server_is_built_without_what_a_recovery_has_to_bring(word: str) -> None:
    assert word not in stages("host/Dockerfile")["bare"]


def test_only_a_production_server_is_built_with_files_of_the_stack() -> None:
    production = [text for stage, text in stages("host/Dockerfile").items() if "host/production/" in text]
    assert production == [stages("host/Dockerfile")["production"]]
    laid_in = {path.relative_to(context.ROOT / "host/bare").parts[0] for path in (context.ROOT / "host/bare").iterdir()}
    assert laid_in == {"etc", "usr"}
    assert not (context.ROOT / "host/bare/etc/letsencrypt").exists()


def test_what_was_kept_before_there_were_bare_servers_is_in_production() -> None:
    sandbox = Sandbox.named("blue")
    sandbox.folder.mkdir(parents=True)
    kept = '{"name": "blue", "golden": "0123", "rows": 5, "disk": null, "created": "2026-01-01T00:00:00+00:00"}'
    (sandbox.folder / "sandbox.json").write_text(kept)
    about = state.read_about(sandbox)
    assert about is not None
    assert about.kind is Kind.PRODUCTION
    assert about.described == "in production with 5 rows, disk unlimited"


@pytest.mark.parametrize("kind", list(Kind))
def test_the_kind_of_a_sandbox_is_kept(kind: Kind) -> None:
    about = state.About("blue", "0123", 0, "2G", "2026-01-01T00:00:00+00:00", kind)
    state.write_about(Sandbox.named("blue"), about)
    assert state.read_about(Sandbox.named("blue")) == about


def test_a_golden_state_of_an_older_tree_makes_no_bare_server() -> None:
    old = golden.Golden("0123", "4567", host_hash="")
    assert not any(old.has(kind) for kind in Kind if kind.is_bare)


def test_neither_a_client_nor_the_bucket_can_be_taken_for_a_sandbox() -> None:
    blue = Sandbox.named("blue")
    assert blue.client not in {blue.container, Sandbox.named("blue-client").container}
    with pytest.raises(BadNameError):
        state.check_name(bucket.folder().name)


def test_a_port_is_looked_for_within_bounds() -> None:
    with pytest.raises(SandboxError, match="between 9100 and 9299"):
        ports.free_from(9100, "the bucket", range(9100, 9300))
