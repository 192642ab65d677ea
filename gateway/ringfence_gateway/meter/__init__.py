"""Counts and cuts agents' bytes and connections, in a process of its own, so that names are answered meanwhile."""
