"""What a fault is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be wrong with the server. The three scripts run on it as root, in bash, after prelude.sh."""

    name: str
    title: str
    """What is wrong, in a few words."""
    symptom: str
    """What a person would see of it."""
    inject: str
    """Script that makes it so. Undo material goes into "$kept"."""
    mend: str
    """Script that takes it back; may run after half an injection, after a reboot, and twice."""
    evidence: str
    """Script that ends with exit code 0 exactly while the fault is there."""
    sample: bool = False
    """Whether it is among the few that every test run injects."""
    moves_data: bool = False
    """Whether mending brings back the data of the moment of injection, losing what was written since."""
