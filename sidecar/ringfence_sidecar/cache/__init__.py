"""Answers kept: in this process, and in a Redis that all sidecars of a namespace share."""
