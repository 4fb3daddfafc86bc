"""Every fault, by subsystem and by name."""

from sandbox.faults.catalogue import (
    access,
    backups,
    certificates,
    containers,
    database,
    limits,
    network,
    proxy,
    queue,
    storage,
    system,
)
from sandbox.faults.fault import Fault

SUBSYSTEMS: dict[str, tuple[Fault, ...]] = {
    "containers": containers.FAULTS,
    "database": database.FAULTS,
    "queue and worker": queue.FAULTS,
    "uploads and scanner": storage.FAULTS,
    "backups": backups.FAULTS,
    "certificates": certificates.FAULTS,
    "access": access.FAULTS,
    "proxy and site": proxy.FAULTS,
    "names and networks": network.FAULTS,
    "limits and settings": limits.FAULTS,
    "host": system.FAULTS,
}
FAULTS: dict[str, Fault] = {fault.name: fault for faults in SUBSYSTEMS.values() for fault in faults}
