"""Certificates renewed and made anew."""
