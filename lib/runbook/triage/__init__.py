"""Triage: findings in, causes out, ranked. Pure.

verdicts -> placing (which part each finding is about, and how much it says) -> ranking (what explains what) -> causes.
`parts` holds the model of what needs what, made from the params file and from the stack itself. No rule knows a fault:
what explains a finding is another finding on a part that it needs. Models: Icinga's dependencies between hosts and
services, and the distinction of symptom and cause in the SRE book (chapter 6, "Monitoring Distributed Systems").
"""

from __future__ import annotations

from runbook.triage.ranking import Cause, Causes, Group, causes

__all__ = ["Cause", "Causes", "Group", "causes"]
