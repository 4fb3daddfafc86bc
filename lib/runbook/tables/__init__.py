"""What cells show: facts and verdicts as tables, worst first, stable from run to run.

`tables.<what>(facts, verdict)` shows what was seen with the state that the checks gave it. A fact that is missing gives a
table that says so: no evidence is never an empty table.
"""

from __future__ import annotations

from runbook.tables.access import accounts, keys, logins, ssh, sudo
from runbook.tables.backup import copies, coverage
from runbook.tables.certificates import certificates, issued, renewal_dry_run, served, timer
from runbook.tables.database import activity, growth, locks, query, slow_queries, table_sizes
from runbook.tables.deploy import deploys, migrations, release
from runbook.tables.dumps import backup_methods, dumps, vacuumed, wraparound
from runbook.tables.exceptions import exceptions
from runbook.tables.firewall import firewall, ports
from runbook.tables.inventory import locations, packages, variables
from runbook.tables.logs import database_refusals, live_line, log_lines, messages, requests
from runbook.tables.logs import services as log_services
from runbook.tables.plan import plan, plan_commands
from runbook.tables.recovery import recovery_measured, recovery_source
from runbook.tables.resources import disks, docker_disk, host, usage
from runbook.tables.retention import retention
from runbook.tables.rotation import secrets
from runbook.tables.services import compose, containers, images
from runbook.tables.start import card, contacts, notebooks
from runbook.tables.table import Link, Table, duration, size
from runbook.tables.triage import causes, ruled_out
from runbook.tables.triage import commands as cause_commands
from runbook.tables.units import units
from runbook.tables.verdicts import before_after, evidence, next_steps, verdict_table
from runbook.tables.web import user_journey, web

__all__ = [
    "Link",
    "Table",
    "accounts",
    "activity",
    "backup_methods",
    "before_after",
    "card",
    "cause_commands",
    "causes",
    "certificates",
    "compose",
    "contacts",
    "containers",
    "copies",
    "coverage",
    "database_refusals",
    "deploys",
    "disks",
    "docker_disk",
    "dumps",
    "duration",
    "evidence",
    "exceptions",
    "firewall",
    "growth",
    "host",
    "images",
    "issued",
    "keys",
    "live_line",
    "locations",
    "locks",
    "log_lines",
    "log_services",
    "logins",
    "messages",
    "migrations",
    "next_steps",
    "notebooks",
    "packages",
    "plan",
    "plan_commands",
    "ports",
    "query",
    "recovery_measured",
    "recovery_source",
    "release",
    "renewal_dry_run",
    "requests",
    "retention",
    "ruled_out",
    "secrets",
    "served",
    "size",
    "slow_queries",
    "ssh",
    "sudo",
    "table_sizes",
    "timer",
    "units",
    "usage",
    "user_journey",
    "vacuumed",
    "variables",
    "verdict_table",
    "web",
    "wraparound",
]
