"""Secrets rotated."""
