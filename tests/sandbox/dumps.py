"""Dumps and databases of the practice server by other means than the library: psql, sha256sum, and sums made here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conftest import Host

FOLDER = "/opt/pazpaz/backups"


def sql(host: Host, query: str, *, database: str = "pazpaz") -> str:
    """Return what a database answers."""
    quoted = query.replace("'", "'\\''")
    told: str = host.sh(f"docker exec pazpaz-db psql -qtAX -v ON_ERROR_STOP=1 -U pazpaz -d {database} -c '{quoted}'")
    return told.strip()


def databases(host: Host) -> set[str]:
    """Return the databases that begin with the application's name."""
    return set(sql(host, "select datname from pg_database where datname like 'pazpaz%'", database="postgres").split())


def files(host: Host) -> set[str]:
    """Return the files in the folder of backups."""
    return set(host.sh(f"ls {FOLDER}").split())


def manifest(host: Host, name: str) -> dict[str, Any]:
    """Return a dump's manifest."""
    found: dict[str, Any] = json.loads(host.sh(f"cat {FOLDER}/{name}.manifest.json"))
    return found


def content(host: Host, database: str = "pazpaz") -> dict[str, dict[str, object]]:
    """Return rows and checksum of every table: the sum, made here, of the first 15 hexadecimal digits of each row's MD5."""
    tables = sql(host, "select tablename from pg_tables where schemaname = 'public'", database=database).split()
    found: dict[str, dict[str, object]] = {}
    for table in tables:
        hashes = sql(host, f"select md5(t::text) from {table} t", database=database).split()  # noqa: S608 (a table's own name)
        total = sum(int(digits[:15], 16) for digits in hashes)
        found[f"public.{table}"] = {"rows": len(hashes), "checksum": str(total)}
    return found


def truncated(host: Host, source: str, name: str) -> None:
    """Make a dump that is cut in half, with the checksum of the half."""
    host.sh(f"cd {FOLDER}; head -c $(($(stat -c %s {source}) / 2)) {source} > {name}; sha256sum {name} > {name}.sha256")


def flipped(host: Host, source: str, name: str) -> None:
    """Make a dump with one bit turned round, with the checksum of the whole one."""
    host.sh(f"""cd {FOLDER}; python3 - {source} {name} <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[2], "wb").write(data)
END
sed 's/{source}/{name}/' {source}.sha256 > {name}.sha256""")


def empty(host: Host, name: str) -> None:
    """Make a dump of no bytes, with the checksum of nothing."""
    host.sh(f"cd {FOLDER}; : > {name}; sha256sum {name} > {name}.sha256")


def dumped(host: Host, database: str, name: str) -> None:
    """Dump a database as the nightly script does: a checksum beside it, no manifest."""
    host.sh(
        f"cd {FOLDER}; docker exec pazpaz-db pg_dump -U pazpaz -F c -Z 1 {database} > {name}; sha256sum {name} > {name}.sha256; chown pazpaz: {name}*"
    )
