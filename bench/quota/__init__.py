"""Measures quotas."""
