"""Ringfence's sidecar: an agent's only door to company data."""

__version__ = "0.1.0"
