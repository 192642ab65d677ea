"""GET /v1/docs: a page that reads the OpenAPI document; nothing in it comes from elsewhere."""

from typing import Final

PAGE: Final = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ringfence sidecar</title>
<style>
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 60rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; }
details > div { border-top: 1px solid var(--line); padding: .2rem .8rem .8rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: #8881; border-radius: 4px; overflow: auto; padding: .6rem; max-height: 26rem; }
b { display: inline-block; font: 600 13px ui-monospace, monospace; min-width: 3.6rem; }
i { font-style: normal; opacity: .7; }
</style>
<h1>Ringfence sidecar</h1>
<p>What this agent may ask. The same as a document: <a href="/v1/openapi.json">OpenAPI 3.1</a>.
Over MCP the same operations are tools, at <code>/mcp</code>.</p>
<main id="paths">Reading\xe2\x80\xa6</main>
<script>
const make = (name, text) => Object.assign(document.createElement(name), { textContent: text ?? "" });
const resolve = (api, schema) => schema?.$ref
  ? schema.$ref.slice(2).split("/").reduce((at, part) => at[part], api) : schema;
const block = (title, value) => value === undefined ? []
  : [make("h2", title), make("pre", JSON.stringify(value, null, 2))];
const row = (api, path, method, item) => {
  const details = make("details"), head = make("summary"), body = make("div");
  head.append(make("b", method.toUpperCase()), make("code", path), " ", make("i", item.summary));
  const taken = item.requestBody && Object.values(item.requestBody.content)[0].schema;
  const given = Object.values(item.responses["200"].content ?? {})[0]?.schema;
  const data = given?.allOf?.[1].properties.data.anyOf[0] ?? given;
  body.append(make("p", item.description ?? ""));
  body.append(...block("Body", resolve(api, taken)), ...block("Answer", resolve(api, data)));
  details.append(head, body);
  return details;
};
(async () => {
  const main = document.getElementById("paths");
  try {
    const api = await (await fetch("/v1/openapi.json")).json(), groups = {};
    for (const [path, items] of Object.entries(api.paths))
      for (const [method, item] of Object.entries(items))
        (groups[item.tags[0]] ??= []).push(row(api, path, method, item));
    main.replaceChildren(...Object.entries(groups).flatMap(([tag, rows]) => [make("h2", tag), ...rows]));
  } catch (error) {
    main.textContent = `The document could not be read: ${error}`;
  }
})();
</script>
</html>
"""
