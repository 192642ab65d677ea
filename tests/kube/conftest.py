from tests.cli.conftest import cluster

__all__ = ["cluster"]
