"""Releases brought out and taken back, and the migrations they need."""
