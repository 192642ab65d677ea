"""Kinds of other products, without the products: what is written for them is held against their own schemas."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import yaml

from tests.e2e.kube import Body, Kube, address_of
from tests.e2e.world import is_true
from tests.go_module import module_directory


def crd_of(module: str, path: str) -> Body:
    """Return a CustomResourceDefinition that a Go module (`path@version`) brings in this file."""
    body: Body = yaml.safe_load((module_directory(module) / path).read_text())
    return body


@contextmanager
def made_of(kube: Kube, bodies: Sequence[Body]) -> Iterator[None]:
    """Have these objects in the cluster, the kinds among them served; what was not there before goes again."""
    absent = [body for body in bodies if kube.get(address_of(body)) is None]
    try:
        for body in absent:
            kube.apply(body)
        for body in bodies:
            if body["kind"] == "CustomResourceDefinition":
                kube.until(address_of(body), lambda it: is_true(it, "Established"))
        yield
    finally:
        for body in reversed(absent):
            kube.delete(address_of(body))
