"""The process beside Envoy in each gateway pod: DNS for agents, a resolver for Envoy, and what agents asked for."""

__version__ = "0.1.0"
