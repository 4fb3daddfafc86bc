"""Parameters: what a params file says of a target, typed and checked."""

from runbook.parameters.about import About, Contact, KnownException
from runbook.parameters.access import AccessSettings, FirewallSettings
from runbook.parameters.backup import BackupClass, BackupSettings, ObjectSettings
from runbook.parameters.certificates import Certificate, CertificateSettings, InternalSet
from runbook.parameters.connection import ConnectionSettings
from runbook.parameters.database import DatabaseSettings
from runbook.parameters.deploy import DeploySettings, Probe, Release
from runbook.parameters.limits import Limits
from runbook.parameters.load import Parameters, load, project_root, read, sandbox_home, targets
from runbook.parameters.model import SECRET_REFERENCE, TARGET_NAME, Model, Threshold
from runbook.parameters.recovery import RecoverySettings
from runbook.parameters.rotation import RotationSettings, SecretPlaces
from runbook.parameters.stack import PathExpectation, Service, StackSettings
from runbook.parameters.web import SyntheticUser, WebSettings

__all__ = [
    "SECRET_REFERENCE",
    "TARGET_NAME",
    "About",
    "AccessSettings",
    "BackupClass",
    "BackupSettings",
    "Certificate",
    "CertificateSettings",
    "ConnectionSettings",
    "Contact",
    "DatabaseSettings",
    "DeploySettings",
    "FirewallSettings",
    "InternalSet",
    "KnownException",
    "Limits",
    "Model",
    "ObjectSettings",
    "Parameters",
    "PathExpectation",
    "Probe",
    "RecoverySettings",
    "Release",
    "RotationSettings",
    "SecretPlaces",
    "Service",
    "StackSettings",
    "SyntheticUser",
    "Threshold",
    "WebSettings",
    "load",
    "project_root",
    "read",
    "sandbox_home",
    "targets",
]
