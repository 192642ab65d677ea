"""What a version of Kubernetes says against an object, by its own OpenAPI documents, without a cluster."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
from referencing import Registry
from referencing.jsonschema import DRAFT4

from tests.chart.chart import Body
from tests.go_module import module_directory

VERSIONS = ("v1.33.13", "v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2")
"""Of each minor version that is supported, the newest of the Go module k8s.io/kubernetes; the last is our cluster's."""
_DOCUMENT = "urn:openapi"
_SCHEMAS = "/components/schemas/"
_FUNCTION = re.compile(r"^func (schema_\w+)\(", re.MULTILINE)
_PROPERTY = re.compile(
    r'^\t{5}"(?P<name>[^"]+)": \{$|^(?P<indent>\t+)Enum: +\[\]interface\{\}\{(?P<words>.*)\},$', re.MULTILINE
)
_OF_PROPERTY = 7
"""How far in the enum of a property stands in the generated source; that of its entries stands further in."""
_FORMATS = jsonschema.FormatChecker(formats=())
Enum = tuple[str, bool, list[str]]
"""A property, whether its entries are meant, and the words that it may be."""


def _fits_32_bits(value: object) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


_FORMATS.checks("int32")(_fits_32_bits)


class Kubernetes:
    """A version of Kubernetes, as far as its documents tell. Making one may fetch some 20 MB, once for all."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._root = module_directory(f"k8s.io/kubernetes@{version}")
        self._validators: dict[tuple[str, str], jsonschema.Draft4Validator] = {}

    def errors(self, body: Body) -> list[str]:
        """Return what the API server would refuse in an object: fields it does not know, or lacks, types, words."""
        key = (body["apiVersion"], body["kind"])
        if key not in self._validators:
            document = self.document(body["apiVersion"])
            name = _schema_name(document, *key)
            if name is None:
                return [f"{self.version} has no {body['kind']} of {body['apiVersion']}"]
            self._validators[key] = _validator(document, name)
        found = self._validators[key].iter_errors(body)
        return [f"{body['kind']}/{body['metadata'].get('name')} {each.json_path}: {each.message}" for each in found]

    @functools.cache  # noqa: B019  There are as many as versions, for as long as the tests run.
    def document(self, api_version: str) -> dict[str, Any]:
        """Return the schemas of a group's version, closed and with their enums; of one that is not there, none."""
        group = f"apis__{api_version.replace('/', '__')}" if "/" in api_version else f"api__{api_version}"
        path = self._root / f"api/openapi-spec/v3/{group}_openapi.json"
        document: dict[str, Any] = {"components": {"schemas": {}}}
        if path.exists():
            document = json.loads(path.read_text())
        for name, schema in document["components"]["schemas"].items():
            _close(schema)
            for prop, is_of_entries, words in self._enums.get(_function_of(name), ()):
                held = schema["properties"][prop]
                entries = held.get("items") or held.get("additionalProperties")
                (entries if is_of_entries else held)["enum"] = words
        return document

    @functools.cached_property
    def _enums(self) -> dict[str, list[Enum]]:
        """Enums by the function that makes a schema: the documents leave them out, the source of them has them."""
        text = (self._root / "pkg/generated/openapi/zz_generated.openapi.go").read_text()
        parts = _FUNCTION.split(text)[1:]
        return {name: list(_enums_in(body)) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _enums_in(source: str) -> Iterator[Enum]:
    name = ""
    for found in _PROPERTY.finditer(source):
        if found["name"]:
            name = found["name"]
        else:
            yield name, len(found["indent"]) > _OF_PROPERTY, json.loads(f"[{found['words']}]")


def _function_of(schema: str) -> str:
    """Return `schema_k8sio_api_apps_v1_Deployment` for io.k8s.api.apps.v1.Deployment."""
    return "schema_k8sio_" + schema.removeprefix("io.k8s.").replace(".", "_")


def _schema_name(document: dict[str, Any], api_version: str, kind: str) -> str | None:
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "version": version, "kind": kind}
    schemas = document["components"]["schemas"].items()
    return next((name for name, each in schemas if wanted in each.get("x-kubernetes-group-version-kind", [])), None)


def _validator(document: dict[str, Any], name: str) -> jsonschema.Draft4Validator:
    # Draft 4 is what OpenAPI 3.0 is made from; to it, 1.0 is no integer, as it is none to the API server.
    registry: Registry[Any] = Registry().with_resource(_DOCUMENT, DRAFT4.create_resource(document))
    return jsonschema.Draft4Validator(
        {"$ref": f"{_DOCUMENT}#{_SCHEMAS}{name}"}, registry=registry, format_checker=_FORMATS
    )


def _close(schema: dict[str, Any]) -> None:
    """Let an object have no other fields than those that are named, at any depth."""
    inside = [*schema.get("properties", {}).values(), *(schema[key] for key in ("items",) if key in schema)]
    if isinstance(schema.get("additionalProperties"), dict):
        inside.append(schema["additionalProperties"])
    elif "properties" in schema:
        schema["additionalProperties"] = False
    for each in inside:
        _close(each)
