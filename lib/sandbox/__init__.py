"""A practice server: a production host in miniature, real in every part, that can be broken and mended.

engine -> images -> golden -> host -> lifecycle -> cli
"""
