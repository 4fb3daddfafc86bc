"""Copies made, kept, and taken out again."""
