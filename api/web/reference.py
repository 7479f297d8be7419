"""The reference page: made from OpenAPI on the server, without scripts, so it works offline."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import OpenAPI, Schema

_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #0b0c0c; background: #fff }
h2 { border-bottom: 2px solid #1d70b8; margin-top: 3rem } h3 { margin: 2rem 0 .25rem }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem }
pre { background: #f3f2f1; padding: .75rem; overflow: auto }
.method { display: inline-block; min-width: 4.5rem; font-weight: bold }
a:focus, summary:focus { outline: 3px solid #ffdd00 }
"""


_BEGIN = """\
# Things to join: no sign-in needed
curl 'ADDRESS/v1/listings?near=M32&free=true'
# Begin a story; the answer holds its id, and a code that opens it again
curl ADDRESS/v1/people -H 'Content-Type: application/json' \\
  -d '{"area": "AREA", "called": "Nadia", "good_at": ["Dancing"], "free_times": ["tue_evening"]}'
# Sign in with the code; the answer holds a token
curl ADDRESS/v1/sessions -H 'Content-Type: application/json' -d '{"by": "code", "code": "CODE"}'
# Who am I, and which story is mine? Then: my ideas
curl ADDRESS/v1/me -H 'Authorization: Bearer TOKEN'
curl ADDRESS/v1/people/ID/suggestions -H 'Authorization: Bearer TOKEN'
"""


class ReferencePage(OpenAPIRenderPlugin):
    """One plain page for people: every address, what it takes and what it answers."""

    def __init__(self, *, path: str) -> None:
        super().__init__(path=path)
        self._page: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page; it is made once."""
        del request
        if self._page is None:
            self._page = "".join(_page(openapi_schema)).encode()
        return self._page


def close_schemas(schema: OpenAPI) -> None:
    """Say in the schema what the decoder does: fields that are not named are refused."""
    components = schema.components.schemas or {}
    for one in components.values():
        if isinstance(one, Schema) and one.properties and one.additional_properties is None:
            one.additional_properties = False


def _page(schema: dict[str, Any]) -> Iterator[str]:
    title = escape(schema["info"]["title"])
    yield (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{title}: every address</h1>"
        f"<p>{escape(schema['info'].get('description', ''))}</p>"
        '<p>For machines: <a href="/docs/openapi.json">OpenAPI 3.1</a>. Refusals are '
        "problem+json with the rule, who can change it and what else is possible.</p>"
        f"<h2>How to begin</h2><pre>{escape(_BEGIN)}</pre>"
    )
    by_tag: dict[str, list[str]] = {}
    for path, item in schema["paths"].items():
        for method in _METHODS:
            if method in item:
                tag = (item[method].get("tags") or ["other"])[0]
                by_tag.setdefault(tag, []).append("".join(_operation(path, method, item[method])))
    for tag in sorted(by_tag):
        yield f"<h2>{escape(tag)}</h2>"
        yield from by_tag[tag]
    yield "<h2>Shapes</h2>"
    for name, shape in sorted(schema.get("components", {}).get("schemas", {}).items()):
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f"<pre>{escape(json.dumps(shape, indent=2, ensure_ascii=False))}</pre></details>"
    yield "</body></html>"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield (
        f'<h3><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h3>'
        f"<p>{escape(operation.get('description') or operation.get('summary') or '')}</p>"
    )
    for parameter in operation.get("parameters", []):
        needed = ", needed" if parameter.get("required") else ""
        described = escape(parameter.get("description") or "")
        yield (
            f"<p><code>{escape(parameter['name'])}</code> ({parameter['in']}{needed}) "
            f"{described}</p>"
        )
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield f"<p>Takes {_shape(media.get('schema', {}))}</p>"
    for status, response in operation.get("responses", {}).items():
        if status.startswith("2"):
            shapes = [
                _shape(each.get("schema", {})) for each in response.get("content", {}).values()
            ]
            yield f"<p>Answers {escape(status)} {' or '.join(filter(None, shapes))}</p>"


def _shape(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#{name}"><code>{name}</code></a>'
    several = schema.get("oneOf") or schema.get("anyOf") or []
    return " or ".join(filter(None, (_shape(one) for one in several)))
