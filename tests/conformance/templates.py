"""Resources whose URIs have a form: the product has none, and the suite asks for one."""

from typing import Any

from ringfence_sidecar.mcp.server import Asked, Method, Server
from tests.conformance.media import resource

_HEAD, _TAIL = "test://template/", "/data"
_TEMPLATE = {"uriTemplate": f"{_HEAD}{{id}}{_TAIL}", "name": "data", "description": "By id."}


def add_templates(server: Server) -> None:
    """Offer a template beside the server's resources."""
    plain = server.methods["resources/read"]

    async def templates(_: Asked) -> dict[str, Any]:
        return {"resourceTemplates": [_TEMPLATE]}

    async def read(asked: Asked) -> dict[str, Any]:
        uri = asked.text("uri")
        name = uri.removeprefix(_HEAD).removesuffix(_TAIL)
        if uri != f"{_HEAD}{name}{_TAIL}":
            return await plain.handler(asked)
        said = f'{{"id":"{name}","templateTest":true,"data":"Data for ID: {name}"}}'
        return {"contents": [resource(uri, "application/json", said)["resource"]]}

    server.methods["resources/templates/list"] = Method(templates, is_cacheable=True)
    server.methods["resources/read"] = Method(read, is_cacheable=True)
