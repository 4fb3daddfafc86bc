"""Where in the database the tables are."""

SCHEMA = "practice"
