"""The params file of a target: a typed model, read from YAML, every problem told at once with its line.

`params/<target>.yaml` describes one server. A target written `name@instance` reads `params/name.yaml` with `{instance}`
filled in. Secrets stand there by reference only (see secrets.py).
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError, field_validator

from runbook.errors import ParametersError
from runbook.parameters.about import About, KnownException
from runbook.parameters.access import AccessSettings, FirewallSettings
from runbook.parameters.backup import BackupSettings
from runbook.parameters.certificates import CertificateSettings
from runbook.parameters.connection import ConnectionSettings
from runbook.parameters.database import DatabaseSettings
from runbook.parameters.deploy import DeploySettings
from runbook.parameters.limits import Limits
from runbook.parameters.model import TARGET_NAME, Model
from runbook.parameters.recovery import RecoverySettings
from runbook.parameters.rotation import RotationSettings
from runbook.parameters.stack import PathExpectation, StackSettings
from runbook.parameters.web import SyntheticUser, WebSettings


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
