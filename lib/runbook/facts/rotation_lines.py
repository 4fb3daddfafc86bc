"""Where a secret stands in an env file, and how it is replaced there. Pure; a part of the program that runs on the server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import urllib.parse

LINE = re.compile(
    r"""^(\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#'"]\S*|)(.*)$"""
)
URL = re.compile(r"^([a-z][a-z0-9+.-]*://)([^:/@]*):([^@]*)(@.*)$", re.IGNORECASE)
ROUNDS = 4096  # as PostgreSQL's own scram_iterations


class Wrong(Exception):
    """It cannot be done, or it is not so; `code` is the exit code."""

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.code = code


def unquoted(text: str) -> str:
    r"""Given a value as an env file writes it, return what it means.

    >>> unquoted("'a b'"), unquoted('"a\\"b"'), unquoted("plain")
    ('a b', 'a"b', 'plain')
    """
    if text[:1] == text[-1:] == "'" and len(text) > 1:
        return text[1:-1]
    if text[:1] == text[-1:] == '"' and len(text) > 1:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def find_lines(text: str, name: str) -> list[int]:
    """Return the numbers (from 0) of the lines that set a variable."""
    found = (LINE.match(line) for line in text.split("\n"))
    return [number for number, match in enumerate(found) if match is not None and match.group(2) == name]


def value_of(text: str, name: str) -> str | None:
    """Return what a variable is set to; None where it is not, or twice."""
    numbers = find_lines(text, name)
    match = LINE.match(text.split("\n")[numbers[0]]) if len(numbers) == 1 else None
    return unquoted(match.group(3)) if match else None


def password_in(url: str) -> str | None:
    """Return the password in a URL, decoded; None where there is none.

    >>> password_in("redis://:a%2Fb@redis:6379/0"), password_in("redis://redis:6379/0")
    ('a/b', None)
    """
    match = URL.match(url)
    return urllib.parse.unquote(match.group(3)) if match else None


def user_in(url: str) -> str:
    """Return the user in a URL, decoded; empty where there is none."""
    match = URL.match(url)
    return urllib.parse.unquote(match.group(2)) if match else ""


def refers(password: str | None, names: list[str]) -> bool:
    """Tell whether a password is written as a reference to one of the variables, which follows by itself."""
    return any(password in {"$" + name, "${" + name + "}"} for name in names)


def with_line(text: str, name: str, line: str) -> str:
    """Return the text with the line that sets a variable replaced."""
    lines = text.split("\n")
    lines[find_lines(text, name)[0]] = line
    return "\n".join(lines)


def replaced(text: str, variables: list[str], urls: list[str], value: str) -> str:
    """Return an env file's text with the secret replaced in its variables and in the passwords of its URLs, nothing else."""
    for name in [*variables, *urls]:
        match = LINE.match(text.split("\n")[find_lines(text, name)[0]])
        if match is None:
            continue
        head, _, written, tail = match.groups()
        mark = written[:1] if written[:1] in {"'", '"'} else ""
        told = unquoted(written)
        if name in urls:
            parts = URL.match(told)
            if parts is None or refers(urllib.parse.unquote(parts.group(3)), variables):
                continue
            told = parts.group(1) + parts.group(2) + ":" + urllib.parse.quote(value, safe="") + parts.group(4)
        else:
            told = value
        text = with_line(text, name, head + mark + told + mark + tail)
    return text


def problems_of(text: str, variables: list[str], urls: list[str]) -> list[str]:
    """Return why the secret cannot be replaced in this text, in words; empty where it can."""
    found = []
    for name in [*variables, *urls]:
        times = len(find_lines(text, name))
        if times != 1:
            found.append(f"{name} is set {times} times" if times else f"{name} is not set")
    if found:
        return found
    wanted = value_of(text, variables[0])
    if not wanted:
        return [variables[0] + " is empty"]
    first = variables[0]
    if "$" in wanted or not wanted.isascii():
        found.append(f"{first} holds a $ or a letter outside of ASCII, which programs read in different ways")
    found += [f"{name} and {first} hold different values" for name in variables[1:] if value_of(text, name) != wanted]
    for name in urls:
        password = password_in(value_of(text, name) or "")
        if password is None:
            found.append(f"{name} is not a URL with a password")
        elif password != wanted and not refers(password, variables):
            found.append(f"the password in {name} is not the one in {first}")
    return found


def holds(environment: dict[str, str], variables: list[str], urls: list[str], value: str) -> bool | None:
    """Tell whether a container's environment holds the value everywhere; None where it holds none of the variables."""
    found = [environment[name] for name in variables if name in environment]
    found += [password_in(environment[name]) or "" for name in urls if name in environment]
    return None if not found else all(hmac.compare_digest(item.encode(), value.encode()) for item in found)


def verifier(password: str, salt: bytes) -> str:
    """Return PostgreSQL's SCRAM-SHA-256 verifier of an ASCII password (RFC 5803, RFC 7677): what ALTER ROLE may be given."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(item).decode() for item in (salt, stored, server)]
    return f"SCRAM-SHA-256${ROUNDS}:{told[0]}${told[1]}:{told[2]}"


def states(text: str, secret: str) -> list[tuple[str, str]]:
    """Given the log's text, return (stamp, state) of a secret's rotations, oldest first; a torn line is left out."""
    found = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
            if row["secret"] == secret:
                found.append((str(row["run"]), str(row["state"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found
