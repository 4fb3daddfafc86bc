"""Which planner belongs to which notebook: `module.function` below `runbook.actions`, imported when it is needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from runbook.errors import NotebookError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.changes.plan import Context, Plan

PLANNERS: dict[str, str] = {
    "02-services/control": "services.control.control",
    "03-deploy/backend": "deploy.release.backend",
    "03-deploy/backend-rollback": "deploy.release.backend_rollback",
    "03-deploy/frontend": "deploy.release.frontend",
    "03-deploy/migrate": "deploy.migrations.upgrade",
    "03-deploy/migrate-rollback": "deploy.migrations.downgrade",
    "05-certificates/renew": "certificates.renew.renew",
    "05-certificates/internal": "certificates.internal.internal",
    "06-database/backup": "database.dump.backup",
    "06-database/restore": "database.restore.restore",
    "06-database/maintain": "database.maintain.vacuum",
    "07-backup/full-backup": "backup.full.full",
    "07-backup/retention": "backup.retention.retention",
    "07-backup/restore-uploads": "backup.uploads.restore",
    "07-backup/disaster-recovery": "recovery.recover.recover",
    "08-troubleshoot/service-wont-start": "troubleshoot.mend.service_wont_start",
    "08-troubleshoot/high-cpu-memory": "troubleshoot.mend.high_cpu_memory",
    "08-troubleshoot/database-connections": "troubleshoot.mend.database_connections",
    "08-troubleshoot/certificate-errors": "troubleshoot.mend.certificate_errors",
    "10-maintenance/rotate-secrets": "rotation.rotate.rotate",
}


def planner(notebook: str) -> Callable[[Context], Plan]:
    """Given a notebook's name, return its planner. Raises NotebookError for one that has none."""
    try:
        module, _, name = PLANNERS[notebook].rpartition(".")
    except KeyError:
        raise NotebookError(
            f"{notebook} changes nothing: it has no plan", remedy="open a notebook of kind change or danger"
        ) from None
    found: Callable[[Context], Plan] = getattr(importlib.import_module(f"runbook.actions.{module}"), name)
    return found
