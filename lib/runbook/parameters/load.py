"""The params file of a target: a typed model, read from YAML, every problem told at once with its line.

`params/<target>.yaml` describes one server. A target written `name@instance` reads `params/name.yaml` with `{instance}`
filled in. Secrets stand there by reference only (see secrets.py).
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 (pydantic reads the annotations at run time)
import difflib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from runbook.errors import ParametersError

TARGET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}(@[a-z0-9][a-z0-9-]{0,62})?", re.ASCII)
SECRET_REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|keyring:[^/]+/.+|prompt)")

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Percent = Annotated[float, Field(ge=0, le=100)]
Port = Annotated[int, Field(ge=1, le=65_535)]
SecretReference = Annotated[str, Field(pattern=SECRET_REFERENCE.pattern)]
ServerPath = Annotated[str, Field(pattern=r"^/[^\x00\n]*$")]


class Model(BaseModel):
    """Unknown settings are errors, and a read file does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Threshold(Model):
    """A limit with its two steps: WARNING at `warning`, CRITICAL at `critical`."""

    warning: float
    critical: float


class ConnectionSettings(Model):
    """How to reach the server over SSH. `host` may be an alias of the operator's ~/.ssh/config."""

    host: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    user: str | None = None
    port: Port | None = None
    identity_file: str | None = None
    ssh_config: str | None = None
    known_hosts: str | None = None
    hostname: str | None = None
    sudo_password: SecretReference | None = None
    connect_timeout_seconds: Seconds = 10
    command_timeout_seconds: Seconds = 30
    keepalive_seconds: Seconds = 15


class WebSettings(Model):
    """The public address, and how this machine reaches it when the public name does not resolve here."""

    url: str = Field(pattern=r"^https?://[A-Za-z0-9.-]+(:\d+)?$")
    connect_to: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.:\[\]-]+:\d+$")
    ca: str | None = None
    front_page_contains: str = "<title>"
    health_path: str = "/api/v1/health"
    health_equals: dict[str, str] = {"status": "ok", "version": "v1"}
    ready_path: str | None = "/api/v1/ready"
    ready_checks: tuple[str, ...] = ()
    version_path: str | None = None
    timeout_seconds: Seconds = 10
    latency_milliseconds: Threshold = Threshold(warning=1000, critical=5000)
    from_outside: bool = True

    @property
    def name(self) -> str:
        """The host name in the URL."""
        return self.url.split("://", 1)[1].rsplit(":", 1)[0] if self.url.count(":") > 1 else self.url.split("://", 1)[1]


class SyntheticUser(Model):
    """An account of its own with which the user's way through the application is walked.

    `standing_notes` (client's name: note) and `standing_files` are what it keeps for ever: read back, they prove that
    old data can still be decrypted and old uploads are still there.
    """

    email: str
    password: SecretReference
    job_timeout_seconds: Seconds = 15
    step_timeout_seconds: Seconds = 10
    step_milliseconds: Threshold = Threshold(warning=2000, critical=8000)
    standing_notes: dict[str, str] = {}
    standing_files: int = Field(default=0, ge=0)


class Service(Model):
    """A container that is expected: its name in the compose file, and what its loss means."""

    name: str
    container: str
    image: str | None = None
    critical: bool = True
    well_tuned_health_check: str | None = None


class StackSettings(Model):
    """Where the Compose stack lives on the server."""

    directory: ServerPath = "/opt/pazpaz"
    compose_file: str = "docker-compose.prod.yml"
    env_file: str = ".env.production"
    project: str = "pazpaz"
    services: tuple[Service, ...]
    start_order: tuple[str, ...] = ()

    def container(self, service: str) -> str:
        """Given a service's name, return its container's. Raise KeyError for one that is not in the params file."""
        return {item.name: item.container for item in self.services}[service]


class PathExpectation(Model):
    """A path on the server with what it must be."""

    path: ServerPath
    kind: Literal["file", "directory"] = "file"
    mode: str | None = Field(default=None, pattern=r"^[0-7]{3,4}$")
    owner: str | None = None
    required: bool = True
    why: str = ""


class FirewallSettings(Model):
    """What ufw must say and what may be open to the world."""

    allowed_tcp_ports: tuple[Port, ...] = (22, 80, 443)
    outside_probe_ports: tuple[Port, ...] = (22, 80, 443, 5432, 6379, 9000, 3310, 8000, 2375)
    outside_connect: dict[int, str] = {}
    enabled: bool = True
    expected_listeners: tuple[Port, ...] = ()


class AccessSettings(Model):
    """Who may come in. What is not set here is shown but not judged."""

    password_login: bool = False
    root_login: bool = False
    authorized_keys: int | None = None
    login_accounts: tuple[str, ...] | None = None
    sudo_accounts: tuple[str, ...] | None = None
    cron_files: tuple[str, ...] | None = None


class Certificate(Model):
    """A certificate: where it lies, the key beside it, who serves it, and how many days must be left."""

    name: str
    kind: Literal["letsencrypt", "internal", "ca"]
    path: ServerPath
    key: ServerPath | None = None
    chain: ServerPath | None = None
    names: tuple[str, ...] = ()
    served_by: Literal["https", "postgres", "tls"] | None = None
    served_at: str | None = None
    days_left: Threshold = Threshold(warning=21, critical=7)


class InternalSet(Model):
    """Certificates that a script on the server makes anew: all files of `directory` belong to it.

    `certificate` is its name among the items; `services` start anew to use it, in the order of the stack; `authority`
    says where containers read the authority's file ("api": "/certs/ca.crt").
    """

    script: ServerPath
    certificate: str
    directory: ServerPath
    services: tuple[str, ...]
    authority: dict[str, ServerPath] = {}


class CertificateSettings(Model):
    """All certificates, the timer that renews the public one, certbot's limits, and the internal sets by name."""

    items: tuple[Certificate, ...] = ()
    timer: str = "certbot.timer"
    service: str = "certbot.service"
    timer_overdue_hours: float = 26
    certbot: tuple[str, ...] = ("certbot",)
    renew_within_days: float = Field(default=30, gt=0)
    renewals_per_week: int = Field(default=5, ge=1)
    internal: dict[str, InternalSet] = {}


class DatabaseSettings(Model):
    """The database in the stack; queries run in its container, as a read-only session.

    `writers` are the services that write to it, in the order of their start; the first has the migrations.
    """

    service: str = "db"
    name: str = "pazpaz"
    user: str = "pazpaz"
    statement_timeout_seconds: Seconds = 15
    writers: tuple[str, ...] = Field(default=("api", "arq-worker"), min_length=1)
    expected_tables: tuple[str, ...] = ()
    may_be_empty: tuple[str, ...] = ()
    expected_indexes: tuple[str, ...] = ()
    blocked_seconds: Threshold = Threshold(warning=5, critical=60)
    sequence_percent: Threshold = Threshold(warning=75, critical=95)
    dead_rows_minimum: int = 10_000
    connections_percent: Threshold = Threshold(warning=80, critical=95)
    long_query_seconds: Threshold = Threshold(warning=60, critical=600)
    idle_in_transaction_seconds: Threshold = Threshold(warning=60, critical=600)
    dead_rows_percent: Threshold = Threshold(warning=20, critical=50)
    wraparound_percent: Threshold = Threshold(warning=50, critical=80)


class BackupClass(Model):
    """One class of things to back up: where its copies lie and how old the newest may be."""

    name: str
    kind: Literal["database", "configuration", "certificates", "uploads"]
    sources: tuple[str, ...] = ()
    directory: ServerPath | None = None
    pattern: str = "*"
    off_host: str | None = None
    max_age_hours: float = 26
    retention_days: int = 30
    min_size_bytes: int = 1
    timer: str | None = None
    shrink_percent: Threshold = Threshold(warning=50, critical=90)
    importance: Literal["critical", "important"] = "critical"


class ObjectSettings(Model):
    """The object store: its service, and the service in whose container a client of it reads the objects."""

    service: str = "minio"
    reader: str = "api"


class BackupSettings(Model):
    """The classes of backups, and the encrypted repository that holds them all. `verified_days`: how old a proof by reading may be.

    Attributes:
        repository: folder of the restic repository on the server.
        repository_password: the password that opens it; whoever loses it has lost every copy.
        off_host: where its files are copied to: a folder of the operator's machine, or a URL that fsspec knows.
        off_host_options: for a URL: endpoint_url, key, secret and the like, secrets by reference.
        check_subset: how much of the repository is read after each backup: "100%", "10%", "1G".
        keep_verified: so many of the newest verified copies stay, whatever their age.
        quiesce: freeze the object store for the seconds in which its volume is copied.
        objects: which service is the object store, and through which one its objects are read.
    """

    classes: tuple[BackupClass, ...] = ()
    directory: ServerPath = "/opt/pazpaz/backups"
    verified_days: float = 7
    free_space_factor: float = 2.0
    verify_timeout_seconds: Seconds = 600
    read_through: int = Field(default=3, ge=1, le=30)
    repository: ServerPath = "/opt/pazpaz/backups/restic"
    repository_password: SecretReference | None = None
    off_host: str | None = Field(default=None, min_length=1)
    off_host_options: dict[str, str] = {}
    check_subset: str = Field(default="100%", pattern=r"^([1-9][0-9]?|100)%$|^[1-9][0-9]*[KMGT]?$")
    keep_verified: int = Field(default=3, ge=1, le=1000)
    quiesce: bool = True
    objects: ObjectSettings = ObjectSettings()


class Probe(Model):
    """A request that must be answered with one of the statuses `expect`; `body` is JSON, empty for none."""

    method: Literal["GET", "HEAD", "POST"] = "GET"
    path: str = Field(pattern=r"^/[^\s]*$")
    body: str = Field(default="", pattern=r"^[^\n\t]*$")
    expect: tuple[int, ...] = (200,)


class Release(Model):
    """What is deployed together: services that run one image, whose tag is a variable of the environment file.

    `try_out` is the service of which the new image is started beside the old one before the swap (null: none is).
    `port` is where it listens inside its container. The first of `probes` tells that it is up, the others that it works.
    """

    services: tuple[str, ...] = Field(min_length=1)
    variable: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    try_out: str | None = None
    port: Port = 80
    probes: tuple[Probe, ...] = ()
    restart_after: tuple[str, ...] = ()
    assets_change: bool = False


class DeploySettings(Model):
    """Releases of the backend and the frontend. `unpacked_factor`: how much larger an image's layers are when unpacked."""

    backend: Release = Release(
        services=("api", "arq-worker"),
        variable="BACKEND_VERSION",
        try_out="api",
        port=8000,
        probes=(Probe(path="/api/v1/health"), Probe(path="/api/v1/ready")),
    )
    frontend: Release = Release(
        services=("frontend",),
        variable="FRONTEND_VERSION",
        try_out="frontend",
        probes=(Probe(path="/"),),
        restart_after=("nginx",),
        assets_change=True,
    )
    healthy_seconds: Seconds = 40
    unpacked_factor: float = Field(default=3.0, ge=1)
    pull_seconds: Seconds = 900
    schema_label: str | None = None
    new_errors: Threshold = Threshold(warning=1, critical=3)
    lock_seconds: Seconds = 10
    migration_seconds: Seconds = 1800


class SecretPlaces(Model):
    """Where a secret of the stack stands in the env file, and which services read it when their container is made.

    `variables` hold it alone, `urls` hold it as their password.
    """

    variables: tuple[str, ...] = Field(min_length=1)
    urls: tuple[str, ...] = ()
    services: tuple[str, ...]


class RotationSettings(Model):
    """The four secrets that can be rotated, and how the application brings its sealed columns under a new key.

    `reencrypt_command` runs in a container made like the application's, with the new key in the secret's variable and the
    old one in `old_key_variable`; `reencrypt_check` exits 0 when every row is under the key in the secret's variable.
    """

    database_password: SecretPlaces = SecretPlaces(
        variables=("POSTGRES_PASSWORD",), urls=("DATABASE_URL",), services=("db", "api", "arq-worker")
    )
    redis_password: SecretPlaces = SecretPlaces(
        variables=("REDIS_PASSWORD",), urls=("REDIS_URL",), services=("redis", "api", "arq-worker")
    )
    jwt_secret: SecretPlaces = SecretPlaces(variables=("SECRET_KEY",), services=("api", "arq-worker"))
    encryption_key: SecretPlaces = SecretPlaces(variables=("ENCRYPTION_MASTER_KEY",), services=("api", "arq-worker"))
    database_sslmode: Literal["disable", "prefer", "require"] = "require"
    redis_service: str = "redis"
    old_key_variable: str = "ENCRYPTION_MASTER_KEY_OLD"
    reencrypt_service: str = "api"
    reencrypt_command: tuple[str, ...] = ()
    reencrypt_check: tuple[str, ...] = ()
    reencrypt_timeout_seconds: Seconds = 3600
    backup_max_age_hours: float = 26
    confirm_within_days: Threshold = Threshold(warning=7, critical=30)
    age_days: Threshold = Threshold(warning=365, critical=1095)


class RecoverySettings(Model):
    """What a new host needs: names of packages as Debian and Ubuntu have them, and how old the data may be in a disaster."""

    packages: tuple[str, ...] = (
        "docker.io",
        "docker-cli",
        "docker-compose",
        "restic",
        "certbot",
        "ufw",
        "curl",
        "jq",
        "openssl",
    )
    point_hours: Threshold = Threshold(warning=24, critical=48)
    time_minutes: Threshold = Threshold(warning=60, critical=240)


class Limits(Model):
    """Limits of resources. Percent of what there is, unless the name says a unit."""

    disk_percent: Threshold = Threshold(warning=80, critical=92)
    inode_percent: Threshold = Threshold(warning=80, critical=92)
    memory_percent: Threshold = Threshold(warning=85, critical=95)
    swap_percent: Threshold = Threshold(warning=50, critical=90)
    load_per_cpu: Threshold = Threshold(warning=2, critical=5)
    container_cpu_percent: Threshold = Threshold(warning=80, critical=150)
    process_cpu_percent: Threshold = Threshold(warning=90, critical=400)
    container_memory_percent: Threshold = Threshold(warning=80, critical=95)
    container_restarts: Threshold = Threshold(warning=1, critical=5)
    docker_reclaimable_gigabytes: Threshold = Threshold(warning=10, critical=40)
    clock_skew_seconds: Threshold = Threshold(warning=2, critical=30)
    http_5xx_percent: Threshold = Threshold(warning=1, critical=5)
    log_errors_per_hour: Threshold = Threshold(warning=10, critical=500)
    round_trip_milliseconds: Threshold = Threshold(warning=500, critical=3000)
    log_lines_per_hour: Threshold = Threshold(warning=50_000, critical=1_000_000)
    pressure_percent: Threshold = Threshold(warning=40, critical=80)
    upgrades: Threshold = Threshold(warning=1, critical=200)
    out_of_memory_kills: Threshold = Threshold(warning=1, critical=5)
    recent_minutes: Annotated[float, Field(gt=0, le=1440)] = 10


class KnownException(Model):
    """A finding that is accepted until a date, and only while a functional probe of the same thing passes."""

    check: str
    subject: str
    reason: str
    expires: dt.date
    requires: str | None = None


class Contact(Model):
    """Whom to call. Roles in the repo, persons in the owner's own file."""

    role: str
    name: str = ""
    reach: str = ""


class About(Model):
    """The server's card: provider, review date, contacts."""

    provider: str = ""
    dns: str = ""
    certificates_by: str = ""
    deployed: dt.date | None = None
    reviewed: dt.date | None = None
    next_review: dt.date | None = None
    contacts: tuple[Contact, ...] = ()


class Parameters(Model):
    """Everything the runbook knows of a target."""

    target: str
    purpose: str
    environment: Literal["sandbox", "staging", "production"]
    about: About = About()
    connection: ConnectionSettings
    web: WebSettings
    synthetic: SyntheticUser | None = None
    depth: Literal["quick", "full"] = "quick"
    stack: StackSettings
    locations: tuple[PathExpectation, ...] = ()
    firewall: FirewallSettings = FirewallSettings()
    certificates: CertificateSettings = CertificateSettings()
    database: DatabaseSettings = DatabaseSettings()
    backup: BackupSettings = BackupSettings()
    deploy: DeploySettings = DeploySettings()
    rotation: RotationSettings = RotationSettings()
    recovery: RecoverySettings = RecoverySettings()
    access: AccessSettings = AccessSettings()
    units: tuple[str, ...] = ()
    read_only_mounts: tuple[str, ...] = ()
    limits: Limits = Limits()
    known_exceptions: tuple[KnownException, ...] = ()

    @field_validator("target")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not TARGET_NAME.fullmatch(value):
            raise ValueError("a target is named by lower-case letters, digits, dots, dashes and underscores")
        return value


def project_root() -> Path:
    """Return the folder that holds `notebooks/`, `params/` and `outputs/`.

    RUNBOOK_ROOT overrides it; else it is the folder two above this package (the checkout it is installed from).
    """
    override = os.environ.get("RUNBOOK_ROOT")
    return Path(override) if override else Path(__file__).resolve().parents[3]


def sandbox_home() -> Path:
    """Return the folder with the state of practice servers, one folder each."""
    override = os.environ.get("RUNBOOK_SANDBOX_HOME")
    if override:
        return Path(override)
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "runbook" / "sandbox"


def targets(directory: Path | None = None) -> list[str]:
    """Return the names of the targets that have a params file."""
    folder = directory or project_root() / "params"
    return sorted(
        path.name.removesuffix(".yaml") for path in folder.glob("*.yaml") if not path.name.endswith(".example.yaml")
    )


def load(target: str, directory: Path | None = None) -> Parameters:
    """Given a target (`name` or `name@instance`), return its parameters.

    Raises ParametersError with every problem at once: no such file, malformed YAML, unknown or ill-typed settings.
    """
    folder = directory or project_root() / "params"
    if not isinstance(target, str) or not TARGET_NAME.fullmatch(target):
        shown = repr(target)[:80]
        raise ParametersError(
            f"target {shown}", ["not a target's name (lower-case letters, digits, dots, dashes, underscores; `name` or `name@instance`)"],
            remedy=f"one of: {', '.join(targets(folder)) or 'none yet: copy params/production.example.yaml'}",
        )  # fmt: skip
    name, _, instance = target.partition("@")
    path = folder / f"{name}.yaml"
    if not path.is_file():
        near = difflib.get_close_matches(name, targets(folder), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ParametersError(
            f"target {target!r}", [f"there is no params file {path.name} in {folder}"],
            remedy=f"{hint}Known targets: {', '.join(targets(folder)) or 'none'}. To add one, copy params/production.example.yaml to params/{name}.yaml",
        )  # fmt: skip
    return read(path, target=target, instance=instance or name)


def read(path: Path, *, target: str, instance: str) -> Parameters:
    """Given a params file, return its parameters; raise ParametersError with all problems and their lines."""
    from ruamel.yaml import YAML  # noqa: PLC0415 (200 ms that `--help` should not wait for)
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415 (as above)

    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ParametersError(
            str(path), [f"{where}not valid YAML: {error.problem}"], remedy="mend this line; indent with spaces"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise ParametersError(
            str(path), [f"not valid YAML: {error}"], remedy="mend the file or copy it anew from the example"
        ) from None
    except OSError as error:
        raise ParametersError(
            str(path), [f"cannot be read: {error.strerror}"], remedy="check the file's permissions"
        ) from None
    if not isinstance(document, dict):
        raise ParametersError(
            str(path),
            ["line 1: the file must hold settings (`name: value` lines)"],
            remedy="copy params/production.example.yaml",
        )
    plain = json.loads(json.dumps(document, default=str))
    values = {"instance": instance, "sandbox_home": str(sandbox_home()), "params": str(path.parent.resolve())}
    problems: list[str] = []
    source = plain.pop("values", None)
    if source is not None:
        values |= _more_values(str(source), values, problems)
    filled = _fill(plain, values, problems, document, ())
    if isinstance(filled, dict):
        filled["target"] = target
    try:
        parameters = Parameters.model_validate(filled)
    except ValidationError as error:
        problems += [_problem(item, document) for item in error.errors()]
        parameters = None
    if problems or parameters is None:
        raise ParametersError(
            str(path), problems, remedy="mend these lines; every setting is explained in params/production.example.yaml"
        )
    return parameters


def _more_values(source: str, values: dict[str, str], problems: list[str]) -> dict[str, str]:
    """Read the flat JSON object that `values:` names (a practice server writes its ports there)."""
    path = Path(source.format(**values)).expanduser()
    try:
        return {str(key): str(value) for key, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        problems.append(
            f"values: {path} does not exist; the practice server is not up (start it: ./runbook sandbox up)"
        )
    except (OSError, ValueError, AttributeError) as error:
        problems.append(f"values: {path} cannot be read as a flat JSON object: {error}")
    return {}


def _fill(node: Any, values: dict[str, str], problems: list[str], document: Any, where: tuple[str | int, ...]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, values, problems, document, (*where, key)) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values, problems, document, (*where, index)) for index, value in enumerate(node)]
    if isinstance(node, str) and "{" in node:
        for name in re.findall(r"\{([a-z_]+)\}", node):
            if name in values:
                node = node.replace("{" + name + "}", values[name])
            elif values.keys() - {"instance", "sandbox_home", "params"} or not problems:
                known = ", ".join(sorted(values))
                problems.append(
                    f"{_line(document, where)}{_dotted(where)}: unknown placeholder {{{name}}}; known: {known}"
                )
        return node
    return node


def _problem(item: Any, document: Any) -> str:
    where = tuple(item["loc"])
    reason = item["msg"].removeprefix("Value error, ")
    given = item.get("input")
    if item["type"] == "extra_forbidden":
        siblings = _model_fields(where[:-1])
        near = difflib.get_close_matches(str(where[-1]), siblings, n=1)
        reason = "unknown setting" + (
            f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(siblings)}"
        )
    elif item["type"] == "missing":
        reason = "is required but missing"
    elif isinstance(given, str | int | float | bool) and "password" not in _dotted(where):
        reason = f"{reason} (got {given!r:.80})"
    return f"{_line(document, where)}{_dotted(where)}: {reason}"


def _model_fields(where: tuple[str | int, ...]) -> list[str]:
    """Return the settings known at a place of the file."""
    model: Any = Parameters
    for step in where:
        if isinstance(step, int):
            continue
        field = model.model_fields.get(step)
        if field is None:
            return []
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if model is None:
            return []
    return sorted(model.model_fields)


def _dotted(where: tuple[str | int, ...]) -> str:
    return ".".join(str(step) for step in where) or "the file"


def _place(node: Any, step: str | int) -> tuple[int, int]:
    """Return (line, column), from 0, of a key or an item as ruamel.yaml's round-trip loader keeps it."""
    marks: Any = node.lc
    place: tuple[int, int] = marks.key(step) if hasattr(node, "keys") else marks.item(step)
    return place


def _line(document: Any, where: tuple[str | int, ...]) -> str:
    """Return "line N: " of the nearest place in the file that is there."""
    line: int | None = None
    node = document
    for step in where:
        try:
            line = _place(node, step)[0] + 1
            node = node[step]
        except (KeyError, IndexError, TypeError, AttributeError):
            break
    return f"line {line}: " if line else ""
