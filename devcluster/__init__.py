"""A real single-node Kubernetes cluster for development and tests, from well-known parts."""
