"""OpenAPI 3.1 of what this agent may ask, made from the operations' structs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ringfence_sidecar import __version__, schemas
from ringfence_sidecar.builtin import CACHE, SCHEMAS, Builtin
from ringfence_sidecar.connectors.base import Effect, Operation
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.problem import Document
from ringfence_sidecar.quota import QuotaStanding
from ringfence_sidecar.rest.batch import Batch, BatchResult
from ringfence_sidecar.rest.listing import ConnectorDescription, Connectors
from ringfence_sidecar.rest.router import Route

_CALL: Final = "/v1/connectors/{}/{}"
_NAMES: Final = {
    "/v1/connectors/{}": ("connector",),
    "/v1/cache/{}": ("key",),
    "/v1/schemas/{}": ("name",),
}
_OWN: Final = {
    ("GET", "/v1/cache/{}"): (CACHE, "get"),
    ("PUT", "/v1/cache/{}"): (CACHE, "set"),
    ("DELETE", "/v1/cache/{}"): (CACHE, "delete"),
    ("POST", "/v1/cache/invalidate_tag"): (CACHE, "invalidate_tag"),
    ("GET", "/v1/schemas"): (SCHEMAS, "list"),
    ("GET", "/v1/schemas/{}"): (SCHEMAS, "get"),
    ("PUT", "/v1/schemas/{}"): (SCHEMAS, "register"),
    ("DELETE", "/v1/schemas/{}"): (SCHEMAS, "remove"),
}
_BATCH = Operation(
    name="batch",
    title="Run several calls",
    description="Runs calls with bounded concurrency; each has its own envelope.",
    effect=Effect.WRITE,
    arguments=Batch,
    result=BatchResult,
)
_PLAIN: Final = {
    "/v1/connectors": Connectors,
    "/v1/connectors/{}": ConnectorDescription,
    "/v1/quota": QuotaStanding,
}
_REFERENCE: Final = "#/components/schemas/{name}"
_KEY: Final = "Idempotency-Key"
_HEADERS: Final = (
    ("X-Request-Id", "Correlates the call with logs and backends; given back.", {"type": "string"}),
    ("traceparent", "W3C trace context.", {"type": "string"}),
    ("X-Timeout-Seconds", "How long the call may take.", {"type": "number", "exclusiveMinimum": 0}),
    (_KEY, "The message's id, by which consumers know a second copy.", {"type": "string", "maxLength": 255}),
    ("Cache-Control", "`no-cache` asks the backend whatever is kept.", {"type": "string"}),
)
Json = dict[str, Any]


def document_of(bound: Mapping[str, tuple[Operation, ...]], routes: Sequence[Route]) -> Json:
    """Return the document: a path for each permitted operation, and the others of `routes`."""
    own = [each for operations in Builtin.operations.values() for each in operations]
    operations = [each for operations in bound.values() for each in operations]
    plain = [_result_only(kind) for kind in _PLAIN.values()]
    schemata, components = schemas.components_of([*operations, *own, _BATCH, *plain], _REFERENCE)
    paths: dict[str, Json] = {}
    for path, method, item in (*_of_connectors(bound, schemata), *_of_routes(routes, schemata)):
        paths.setdefault(path, {})[method] = item
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ringfence sidecar", "version": __version__, "description": "What this agent may ask."},
        "jsonSchemaDialect": schemas.DIALECT,
        "paths": paths,
        "components": {
            "schemas": dict(components),
            "parameters": {
                name: {"name": name, "in": "header", "description": text, "schema": schema}
                for name, text, schema in _HEADERS
            },
            "responses": {
                "Problem": {
                    "description": "The call was not served.",
                    "content": {"application/problem+json": {"schema": schemata[Document]}},
                }
            },
        },
    }


def _of_connectors(
    bound: Mapping[str, tuple[Operation, ...]], schemata: Mapping[Any, Json]
) -> Iterator[tuple[str, str, Json]]:
    for name, operations in bound.items():
        for operation in operations:
            path = f"/v1/connectors/{name}/{operation.name}"
            yield path, "post", _item(operation, f"{name}_{operation.name}", schemata, tag=name)
            if operation.streams:
                item = _item(operation, f"{name}_{operation.name}_stream", schemata, tag=name)
                content = item["responses"]["200"]["content"].pop("application/json")
                item["responses"]["200"]["content"]["text/event-stream"] = content
                yield f"{path}/stream", "post", item


def _of_routes(routes: Sequence[Route], schemata: Mapping[Any, Json]) -> Iterator[tuple[str, str, Json]]:
    operations = {(name, each.name): each for name, group in Builtin.operations.items() for each in group}
    for route in routes:
        if route.path.startswith(_CALL):
            continue
        names = _NAMES.get(route.path, ())
        path = route.path.replace("{}", "{%s}" % names[0]) if names else route.path  # noqa: UP031 - braces
        identity = f"{route.method.lower()}_{path.removeprefix('/v1/')}".translate(str.maketrans("/.{}", "____"))
        if (route.method, route.path) in _OWN:
            item = _item(operations[_OWN[route.method, route.path]], identity, schemata, tag="own", named=names)
        elif route.path == "/v1/batch":
            item = _item(_BATCH, identity, schemata, tag="calls")
        else:
            item = _plain(route, identity, schemata)
        if route.method in ("GET", "DELETE"):
            item.pop("requestBody", None)
        item["parameters"] = [*item["parameters"], *map(_in_path, names)]
        yield path, route.method.lower(), item


def _item(
    operation: Operation, identity: str, schemata: Mapping[Any, Json], *, tag: str, named: Sequence[str] = ()
) -> Json:
    data = {"anyOf": [schemata[operation.result], {"type": "null"}]}
    envelope = {"allOf": [schemata[Envelope], {"type": "object", "properties": {"data": data}}]}
    arguments = schemata[operation.arguments]
    if named:  # the path names one of them
        arguments = {"type": "object", "description": f"{operation.arguments.__name__}, without {', '.join(named)}"}
    return {
        "operationId": identity,
        "summary": operation.title,
        "description": operation.description,
        "tags": [tag],
        "parameters": [
            {"$ref": f"#/components/parameters/{name}"} for name, *_ in _HEADERS if name != _KEY or operation.takes_key
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": arguments}}},
        "responses": {
            "200": {"description": "Served.", "content": {"application/json": {"schema": envelope}}},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _plain(route: Route, identity: str, schemata: Mapping[Any, Json]) -> Json:
    struct = _PLAIN.get(route.path)
    content = {"application/json": {"schema": schemata[struct] if struct else {}}}
    return {
        "operationId": identity,
        "summary": route.summary,
        "tags": ["about"],
        "parameters": [],
        "responses": {
            "200": {"description": "Found.", "content": {} if route.path == "/v1/docs" else content},
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }


def _in_path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _result_only(kind: Any) -> Operation:
    return Operation(name="", title="", description="", effect=Effect.READ, arguments=kind, result=kind)
