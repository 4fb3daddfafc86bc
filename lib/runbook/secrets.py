"""Secrets by reference, and the redactor that masks them everywhere.

A params file holds a reference, never a value: `env:NAME`, `file:PATH`, `keyring:SERVICE/USER`, or `prompt`.
What was once resolved is known to the redactor, which masks the value itself and its base64, URL-quoted, JSON-escaped
and shell-quoted forms. Values shorter than four characters are not masked: they would mask half of every output.
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import re
import shlex
import stat
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from runbook.errors import SecretError

MASK = "********"
SHORTEST_MASKED = 4


def resolve(reference: str, *, what: str) -> str:
    """Given a reference, return the secret's value and tell the redactor of it.

    `what` names the secret for a prompt or an error. Raises SecretError with the remedy.
    """
    kind, _, place = reference.partition(":")
    value = {"env": _from_env, "file": _from_file, "keyring": _from_keyring, "prompt": _from_prompt}.get(
        kind, _unknown
    )(place, what)
    if not value:
        raise SecretError(f"{what}: {reference} is empty", remedy="put the value there, then run again")
    redactor.learn(value)
    return value


def _from_env(place: str, what: str) -> str:
    if place not in os.environ:
        raise SecretError(
            f"{what}: the environment variable {place} is not set",
            remedy=f"export {place}=... in the shell that starts the runbook",
        )
    return os.environ[place]


def _from_file(place: str, what: str) -> str:
    path = Path(place).expanduser()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SecretError(
                f"{what}: others can read {path} (mode {mode:04o})", remedy=f"chmod 600 {shlex.quote(str(path))}"
            )
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise SecretError(
            f"{what}: the file {path} does not exist",
            remedy="create it with mode 0600; for the practice server: ./runbook sandbox up",
        ) from None
    except OSError as error:
        raise SecretError(
            f"{what}: {path} cannot be read: {error.strerror}", remedy="check the file's owner and mode"
        ) from None


def _from_keyring(place: str, what: str) -> str:
    import keyring  # noqa: PLC0415 (slow to import and rarely used)
    import keyring.errors  # noqa: PLC0415 (as above)

    service, _, user = place.partition("/")
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        raise SecretError(
            f"{what}: the keyring cannot be opened: {error}",
            remedy="unlock it, or use env: or file: in the params file",
        ) from None
    if value is None:
        raise SecretError(f"{what}: the keyring has no entry {service}/{user}", remedy=f"keyring set {service} {user}")
    return value


def _from_prompt(_place: str, what: str) -> str:
    module = sys.modules.get("IPython")
    in_kernel = module is not None and module.get_ipython() is not None
    if not in_kernel and not sys.stdin.isatty():
        raise SecretError(
            f"{what}: prompt needs a terminal, and there is none",
            remedy="use env:, file: or keyring: in the params file for unattended runs",
        )
    try:
        return getpass.getpass(f"{what}: ")
    except Exception as error:  # noqa: BLE001 (under papermill ipykernel raises a private class)
        raise SecretError(
            f"{what}: cannot ask here ({type(error).__name__})",
            remedy="use env:, file: or keyring: in the params file for unattended runs",
        ) from None


def _unknown(place: str, what: str) -> str:
    raise SecretError(
        f"{what}: not a secret's reference: {len(place)} characters",
        remedy="write env:NAME, file:PATH, keyring:SERVICE/USER or prompt",
    )


def forms(value: str) -> set[str]:
    """Given a secret, return the texts under which it could surface."""
    raw = value.encode()
    found = {
        value,
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote(value),
        urllib.parse.quote_plus(value),
        json.dumps(value)[1:-1],
        repr(value)[1:-1],
    }
    found |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex()}
    # inside a longer base64 text (a `user:password` header) the value stands at one of three bit offsets
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).decode()
        head = {0: 0, 1: 2, 2: 3}[offset]
        tail = {0: 0, 1: -3, 2: -2}[(offset + len(raw)) % 3]
        found.add(text[head:tail] if tail else text[head:])
    found |= {form.rstrip("=") for form in found if form.endswith("=")}
    return {form for form in found if len(form) >= SHORTEST_MASKED}


# What Compose quotes of an environment file that it cannot read (compose-go, dotenv and template): values, and what follows
# a "$" in one, which it takes for a variable's name.
QUOTED_BY_COMPOSE = (
    (re.compile(r"(Invalid template: |unterminated quoted value |in variable name ).*"), rf"\1{MASK}"),
    (re.compile(r'The (\\?")[^"\\\n]*\\?" variable is not set'), rf"The \1{MASK}\1 variable is not set"),
)  # fmt: skip
BETRAYS = ("nvalid template", "unterminated quoted", "in variable name", "variable is not set")


def mask_env_values(text: str) -> str:
    """Given what a command printed, return it without the values that Compose quotes when it complains of them.

    >>> mask_env_values('.env: line 22: unterminated quoted value "P@ss')
    '.env: line 22: unterminated quoted value ********'
    """
    if any(words in text for words in BETRAYS):
        for pattern, replacement in QUOTED_BY_COMPOSE:
            text = pattern.sub(replacement, text)
    return text


class Redactor:
    """Masks every known secret in texts and in JSON-like values."""

    def __init__(self) -> None:
        self._forms: list[str] = []

    def learn(self, value: str) -> None:
        """Given a secret, mask it (and its forms) from now on."""
        if len(value) < SHORTEST_MASKED:
            return
        known = set(self._forms) | forms(value)
        self._forms = sorted(known, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Given a text, return it with every known secret masked."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def value(self, value: Any) -> Any:
        """Given plain JSON types, return them with every known secret masked, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


redactor = Redactor()
"""The one redactor of this process: a value learned anywhere is masked everywhere."""
