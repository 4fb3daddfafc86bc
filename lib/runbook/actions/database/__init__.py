"""The database backed up, restored and maintained."""
