"""Services restarted, stopped and started."""
