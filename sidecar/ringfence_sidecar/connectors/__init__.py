"""Kinds of backend; a third party adds one by the entry point group `ringfence.connectors`."""
