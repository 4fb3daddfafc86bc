"""A lost server built anew."""
