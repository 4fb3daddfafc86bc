"""Actions: from facts to a plan, from a plan to a changed server.

    context -> planner (pure, one per notebook, see registry.py) -> Plan -> apply -> doer -> the server

`plan.py` is the plan as data, `instructions.py` the plan as shell text, `apply.py` the guards, `doer.py` the one place that sends
a change, `lock.py` one operator at a time, `reference.py` an earlier run to resume or to undo. The other files are planners.
"""
