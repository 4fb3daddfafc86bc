"""Faults that can be put into a practice server for real, and taken out again.

catalogue/ (what each fault does, as data) -> fault.Fault -> injection (does it on the server, remembers it there)
"""
