"""Which facts and checks belong to which notebook.

A notebook names nothing of this: `run.gather()` and `run.judge()` take it from here by the notebook's name, so that the
same question is asked and judged alike wherever it is asked. Entries name `module.attribute` below `runbook.facts` and
`runbook.checks`, and only those that are needed are imported. An entry with `()` behind it is called with the values of
the notebook's parameters cell and returns the fact.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.errors import NotebookError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.checks import Check
    from runbook.facts import AnyFact


@dataclass(frozen=True, slots=True)
class Bundle:
    """The facts and checks of one notebook, by name."""

    facts: tuple[str, ...]
    checks: tuple[str, ...]

    def __add__(self, other: Bundle) -> Bundle:
        """Join two bundles, each entry once."""
        return Bundle(tuple(dict.fromkeys(self.facts + other.facts)), tuple(dict.fromkeys(self.checks + other.checks)))


# What known exceptions of services.health rest on: the page served, the job done.
FROM_OUTSIDE = Bundle(("web.web", "synthetic.synthetic"), ("web.web", "synthetic.synthetic"))
CONTAINERS = Bundle(
    ("services.containers",), ("services.state", "services.health", "services.restarts", "services.unexpected")
)
HOST = Bundle(
    ("resources.filesystems", "resources.machine", "resources.clock", "units.units"),
    ("resources.disks", "resources.machine", "resources.clock", "units.units"),
)
PATHS = Bundle(("inventory.paths",), ("inventory.paths",))
FILTER = Bundle(("firewall.packet_filter", "firewall.listeners"), ("firewall.packet_filter", "firewall.listeners", "firewall.bypass"))  # fmt: skip
DATABASE = Bundle(("database.database",), ("database.database",))
# the newest dump by its table of contents: quick to read, and no name, size or checksum tells whose it is
NEWEST_DUMP = Bundle(("dump_candidates.newest_dump",), ("dumps.newest",))
DUMPS = NEWEST_DUMP + Bundle(("dumps.dumps", "dumps.room", "dumps.databases"), ("dumps.kept",))
COPIES = NEWEST_DUMP + Bundle(("backup.copies", "units.units"), ("backup.copies", "backup.schedule"))
CERTIFICATES = Bundle(
    ("certificates.certificates", "certificates.renewal"), ("certificates.certificates", "certificates.renewal")
)
# a renewal that cannot work, although dates and timer look well
RENEWAL_CONFIGS = Bundle(("renewal_configs.renewal_configs",), ("renewal_configs.renewal_configs",))
CERTBOT_VERDICT = Bundle(("renewal_configs.certbot_verdict",), ("renewal_configs.certbot_verdict",))
# what nginx would do at its next start: no visitor sees it before
PROXY = Bundle(("proxy.proxy_config",), ("proxy.proxy_config",))
RENEWAL = Bundle(("lineage.lineages", "renewal_dry_run.dry_run()"), ("renewal.renewals", "renewal.dry_run"))
PEOPLE = Bundle(
    ("access.sshd", "access.accounts", "access.sudo_rules", "access.cron"),
    ("access.sshd", "access.accounts", "access.sudo", "access.cron"),
)
LOGS = Bundle(("logs.logs()",), ("logs.logs",))

# when the last kill for want of memory was: Docker marks a container, and says no time
KILLS = Bundle(("usage.kills",), ("usage.kills",))
FILES = Bundle(
    ("compose.images", "compose.compose", "service_configs.service_configs"), ("compose.image", "compose.drift")
)
# the settings of the containers against the files, and the schema against the image
SETTINGS = FILES + Bundle((), ("inventory.environment", "database.revision"))
# the parts asked themselves: connections between containers, their limits, what stands behind the application, the host
PARTS = Bundle(
    ("stack_probes.links", "stack_probes.inside", "stack_probes.backends", "stack_probes.host"),
    ("links.links", "inside.inside", "backends.backends", "through_proxy.through_proxy", "host.host"),
)
QUICK = (
    FROM_OUTSIDE
    + PARTS
    + CONTAINERS
    + SETTINGS
    + KILLS
    + HOST
    + DATABASE
    + COPIES
    + PATHS
    + FILTER
    + PROXY
    + RENEWAL_CONFIGS
)
DETAILED = (
    QUICK
    + CERTIFICATES
    + PEOPLE
    + Bundle(
        (
            "usage.usage",
            "usage.processes",
            "usage.docker_disk",
            "resources.reboot",
            # not judged here: kept, so that `records diff` can tell what changed since
            "inventory.hashes",
            "inventory.packages",
            "firewall.ufw",
        ),
        (
            "usage.usage",
            "usage.processes",
            "usage.docker_disk",
            "resources.reboot",
        ),
    )
)

# What every change looks at before and after: the user's way, the containers, and the disk it could fill.
SERVED = FROM_OUTSIDE + CONTAINERS + Bundle(("resources.filesystems",), ("resources.disks",))

BUNDLES: dict[str, Bundle] = {
    "00-start-here": Bundle((), ("about.review", "about.exceptions")),
    "01-access/ssh-and-sudo": PEOPLE
    + FILTER
    + Bundle(
        ("access.login", "access.sessions", "firewall.ufw", "firewall.outside", "services.containers"),
        ("access.login", "firewall.ufw", "firewall.outside"),
    ),
    "01-access/server-inventory": PATHS
    + Bundle(
        (
            "inventory.variables",
            "inventory.hashes",
            "inventory.packages",
            "compose.compose",
            "compose.images",
            "service_configs.service_configs",
        ),
        ("inventory.variables", "inventory.environment", "inventory.compose", "inventory.packages"),
    ),
    "02-services/status": FROM_OUTSIDE + CONTAINERS + FILES,
    "02-services/control": SERVED + FILES,
    "02-services/logs": LOGS,
    "03-deploy/backend": SERVED
    + FILES
    + DATABASE
    + NEWEST_DUMP
    + Bundle(("backup.copies", "deploy.backend()", "deploy.backend_logs"), ("deploy.errors",)),
    "03-deploy/backend-rollback": SERVED
    + FILES
    + DATABASE
    + NEWEST_DUMP
    + Bundle(("backup.copies", "deploy.backend_before()", "deploy.backend_logs"), ("deploy.errors",)),
    "03-deploy/frontend": SERVED + FILES + Bundle(("deploy.frontend()", "deploy.frontend_logs"), ("deploy.errors",)),
    "03-deploy/migrate": SERVED
    + FILES
    + DATABASE
    + Bundle(("deploy.upgrade()", "dumps.dumps", "dumps.room", "dumps.databases"), ()),
    "03-deploy/migrate-rollback": SERVED
    + FILES
    + DATABASE
    + Bundle(("deploy.downgrade()", "dumps.dumps", "dumps.room", "dumps.databases"), ()),
    "05-certificates/renew": RENEWAL + RENEWAL_CONFIGS + CERTIFICATES + PROXY + SERVED,
    "05-certificates/internal": CERTIFICATES + SERVED,
    "06-database/backup": DATABASE + SERVED + DUMPS,
    "06-database/restore": DATABASE + SERVED + DUMPS + Bundle(("dump_candidates.dump_candidates()",), ()),
    "06-database/maintain": DATABASE + SERVED + DUMPS,
    "07-backup/full-backup": COPIES
    + SERVED
    + Bundle(("repository.repository", "repository.off_site", "dumps.dumps", "dumps.room", "dumps.databases"), ()),
    "07-backup/restore-uploads": SERVED + Bundle(("repository.repository",), ()),
    "07-backup/retention": COPIES
    + Bundle(
        ("stored_copies.stored_copies", "repository.repository", "repository.off_site", "resources.filesystems"),
        ("resources.disks",),
    ),
    "07-backup/disaster-recovery": SERVED
    + HOST
    + DATABASE
    + CERTIFICATES
    + PATHS
    + Bundle(("recovery.new_host", "recovery.copy()", "recovery.recovered"), ("recovery.recovered", "recovery.copy")),
    "10-maintenance/rotate-secrets": SERVED
    + Bundle(
        ("compose.compose", "rotation.rotation()", "rotation.proof()", "rotation.session()"),
        ("rotation.ages", "rotation.unfinished", "rotation.session"),
    ),
    "04-health/quick": QUICK,
    "08-troubleshoot/triage": QUICK,
    "08-troubleshoot/service-wont-start": QUICK,
    "08-troubleshoot/high-cpu-memory": QUICK,
    "08-troubleshoot/database-connections": QUICK,
    "08-troubleshoot/certificate-errors": QUICK + CERTIFICATES,
    "04-health/detailed": DETAILED,
    "04-health/log-scan": LOGS,
    "05-certificates/status": CERTIFICATES
    + RENEWAL_CONFIGS
    + CERTBOT_VERDICT
    + PROXY
    + Bundle(("web.web",), ("web.certificate",)),
    "06-database/query": DATABASE + Bundle(("database.query()",), ("database.answered",)),
    "06-database/size": DATABASE + Bundle(("resources.filesystems",), ("resources.disks",)),
    "07-backup/coverage": COPIES
    + Bundle(
        ("backup.read_through", "backup.off_host", "resources.filesystems"),
        ("backup.read_through", "backup.off_host", "resources.disks"),
    ),
}


def bundle(notebook: str) -> Bundle:
    """Given a notebook's name, return its bundle. Raises NotebookError for one that has none."""
    try:
        return BUNDLES[notebook]
    except KeyError:
        raise NotebookError(
            f"no facts are declared for the notebook {notebook}", remedy=f"add it to {__name__}.BUNDLES"
        ) from None


ALWAYS_ANSWER = frozenset({"04-health/quick", "04-health/detailed", "08-troubleshoot/triage"})
"""What answers "is it up?" even where nobody gets in: it judges what is seen from outside, and says that the rest is unknown."""

LOOKS_TWICE = ALWAYS_ANSWER | frozenset(name for name in BUNDLES if name.startswith("08-troubleshoot/"))
"""What asks a second time where the first look leaves a symptom without a cause."""


def asks_server(notebook: str) -> bool:
    """Whether a notebook asks the server anything: the start page must open while the server is down."""
    return bool(bundle(notebook).facts)


def facts(notebook: str, values: Mapping[str, Any] | None = None) -> tuple[AnyFact, ...]:
    """Given a notebook's name and the values of its parameters cell, return its facts."""
    return tuple(_resolve("runbook.facts", entry, values or {}) for entry in bundle(notebook).facts)


def checks(notebook: str) -> tuple[Check, ...]:
    """Given a notebook's name, return its checks."""
    return tuple(_resolve("runbook.checks", entry, {}) for entry in bundle(notebook).checks)


def _resolve(package: str, entry: str, values: Mapping[str, Any]) -> Any:
    module, _, name = entry.removesuffix("()").partition(".")
    found = getattr(importlib.import_module(f"{package}.{module}"), name)
    return found(values) if entry.endswith("()") else found
