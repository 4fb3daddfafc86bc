"""The practice server: a real server in miniature, its life cycle and its faults."""
