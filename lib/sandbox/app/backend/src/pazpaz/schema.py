"""Where in the database the tables are."""

SCHEMA = "public"
