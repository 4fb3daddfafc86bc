"""Execution: one run of a notebook, from the command to its last cell."""
