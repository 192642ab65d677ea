"""Pools of warm pods: what a claim takes, costs and survives."""
