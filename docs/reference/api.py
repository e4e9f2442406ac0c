"""docs/API.md: the server's endpoints, from its OpenAPI document, each with an example that was asked for real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from docs.reference import examples, shapes
from docs.reference.asking import Example
from docs.reference.markdown import BY_HAND, anchor, code, page, paragraphs, prose, table

COMMON = (400, 414, 429, 431, 500, 503)
"""Said once for all endpoints."""
_NOT_MODIFIED = 304


class UndocumentedError(Exception):
    """An endpoint has no example."""


@dataclass(frozen=True, slots=True)
class Described:
    """The OpenAPI document, and an example of each operation by method and path."""

    openapi: Mapping[str, Any]
    examples: Mapping[tuple[str, str], Example]
    metrics: Sequence[tuple[str, str, str]] = ()
    """Name, kind and meaning of each of the server's own."""
    addresses: frozenset[str] = frozenset()
    """Those of people's pages too."""

    def operations(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Method, path and description; by part of the API, then by path."""
        order = [tag["name"] for tag in self.openapi["tags"]]
        found = [
            (method.upper(), path, one)
            for path, methods in self.openapi["paths"].items()
            for method, one in methods.items()
        ]
        return iter(sorted(found, key=lambda each: order.index(each[2]["tags"][0])))


def described() -> Described:
    """What the application says of itself and answers now."""
    played = examples.play()
    metrics = [
        (name, one.type, one.documentation)
        for one in text_string_to_metric_families(played.metrics)
        if (name := one.name + ("_total" if one.type == "counter" else "")).startswith("repo_server_")
        and not name.endswith("_created")
    ]
    return Described(played.openapi, played.examples, sorted(metrics), played.addresses)


def heading(method: str, path: str) -> str:
    """Of an endpoint's section."""
    return f"{method} {path}"


def overview(all_of_it: Described) -> list[str]:
    """Each endpoint in a row of a table, with a link to its section of API.md."""
    rows = [
        [f"[`{method} {path}`](API.md#{anchor(heading(method, path))})", _callers(one), prose(one["summary"])]
        for method, path, one in all_of_it.operations()
    ]
    return table(["call", "who may", "what it does"], rows)


def document(all_of_it: Described) -> str:
    """API.md."""
    return page([BY_HAND], _INTRODUCTION, *_parts(all_of_it), *_metrics(all_of_it), *_shapes(all_of_it))


def _parts(all_of_it: Described) -> Iterator[list[str]]:
    words = {tag["name"]: tag["description"] for tag in all_of_it.openapi["tags"]}
    begun, shown = None, dict[str, str]()
    for method, path, one in all_of_it.operations():
        if one["tags"][0] != begun:
            begun = one["tags"][0]
            yield [f"## {prose(words[begun]).rstrip('.')}"]
        example = all_of_it.examples.get((method, path))
        if example is None:
            raise UndocumentedError(f"{method} {path} has no example: ask for it in docs/reference/examples.py")
        yield _endpoint(method, path, one, example.lines(_as_before(method, path, one, shown)))


def _as_before(method: str, path: str, one: Mapping[str, Any], shown: dict[str, str]) -> str | None:
    """A sentence in the place of an answer whose shape was ``shown`` before; else it is noted there."""
    name = str(_successes(one)[0].get("application/json", {}).get("schema", {}).get("$ref", ""))
    here = heading(method, path)
    if not name or shown.setdefault(name, here) == here:
        return None
    return f"Answered with {shapes.link(name)}, as in [{shown[name]}](#{anchor(shown[name])})."


def _endpoint(method: str, path: str, one: Mapping[str, Any], example: list[str]) -> list[str]:
    summary, said = prose(one["summary"]), paragraphs(one["description"])[:-1]  # the last says who may ask
    more = said if said and not summary.startswith(said[0].rstrip(".")) else []
    lines = [f"### {heading(method, path)}", "", " ".join([f"{summary}.", *more])]
    lines += ["", f"- **Who may ask:** {_callers(one)}"]
    if "requestBody" in one:
        lines.append(f"- **Body:** {shapes.kind(one['requestBody']['content']['application/json']['schema'])}")
    lines.append(f"- **Answers:** {_answers(one)}")
    if errors := _errors(one):
        lines.append(f"- **Errors:** {errors}")
    rows = [
        [code(each["name"]), each["in"], shapes.kind(each["schema"]), *_of_parameter(each)]
        for each in one["parameters"]
        if each["in"] != "path"
    ]
    lines += ["", *table(["parameter", "in", "value", "left out", "meaning"], rows)] if rows else []
    return [*lines, "", *example]


def _of_parameter(one: Mapping[str, Any]) -> list[str]:
    return [
        shapes.default(one["schema"], required=one.get("required", False)),
        prose(one.get("description", "")) or HEADERS.get(one["name"], ""),
    ]


def _callers(one: Mapping[str, Any]) -> str:
    return paragraphs(one["description"])[-1].removeprefix("Who may ask: ").rstrip(".")


def _answers(one: Mapping[str, Any]) -> str:
    words = []
    for status, answer in one["responses"].items():
        if int(status) == _NOT_MODIFIED:
            words.append(f"{status} (the client has it already)")
        elif int(status) < _NOT_MODIFIED:
            contents = answer.get("content", {})
            kinds = [
                shapes.kind(content["schema"]) if media == "application/json" else code(media)
                for media, content in contents.items()
            ]
            words.append(f"{status} {' or '.join(kinds)}" if kinds else f"{status} without a body")
    return ", ".join(words)


def _successes(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What the answers of success hold, by media type."""
    return [answer.get("content", {}) for status, answer in one["responses"].items() if int(status) < _NOT_MODIFIED]


def _errors(one: Mapping[str, Any]) -> str:
    found = [(int(status), answer) for status, answer in one["responses"].items() if int(status) > _NOT_MODIFIED]
    return ", ".join(f"{status} {code(answer['description'])}" for status, answer in found if status not in COMMON)


def _metrics(all_of_it: Described) -> Iterator[list[str]]:
    rows = [[code(name), kind, words] for name, kind, words in all_of_it.metrics]
    yield ["## Metrics", "", *table(["metric", "kind", "meaning"], rows)]


def _shapes(all_of_it: Described) -> Iterator[list[str]]:
    schemas = all_of_it.openapi["components"]["schemas"]
    given = _reached([one.get("requestBody") for _, _, one in all_of_it.operations()], schemas)
    yield ["## Shapes", "", "The column “left out” of a request's shape: what holds then, or null where it is empty."]
    answered = [answer for _, _, one in all_of_it.operations() for answer in _successes(one)]
    for name in sorted(given | _reached(answered, schemas), key=shapes.title):
        yield shapes.described(name, schemas[name], given=name in given)


def _reached(value: object, schemas: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = shapes.names_in(value)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += shapes.names_in(schemas[name])
    return found


HEADERS = {
    "If-None-Match": "The `ETag` of the answer that the client has; 304 while nothing has changed.",
    "If-Modified-Since": "The `Last-Modified` of the file that the client has; 304 while it is the same.",
    "If-Range": "The `ETag` or `Last-Modified` that `Range` counts for.",
    "Range": "A part of the file, as `bytes=0-1023`.",
    "Last-Event-ID": "The last event that the client has heard; it hears what came since.",
}
_INTRODUCTION = f"""# HTTP API

Every endpoint of the server, from its own description at `/api/v1/openapi.json` (OpenAPI 3.1). The examples are
requests that were made of a server with one device and one update; the ids in them are shortened to what tells them
apart. What the parts mean by the fields is in [INTERFACES.md](INTERFACES.md), the words in
[GLOSSARY.md](GLOSSARY.md).

**Credentials.** People and programs send an API key in `X-API-Key` (`repo-server api-key create`); its role says what
it may. A browser may have a [session](#post-apiv1session) instead. A device sends its own token as `Authorization:
Bearer`, and to `/repo/` its id and token by HTTP basic. Whoever sends wrong ones hears 401, and after too many of
them 429; a role that may not hears 403.

**Errors.** Every error is `{{"error": {{"kind": "…", "message": "…"}}}}`: the kind for programs, the message for
people, with what to do next. Each endpoint may answer {", ".join(str(status) for status in COMMON)} beside the ones
that are named with it: the request cannot be read, its address or headers are too long, there are too many wrong
attempts, the server has failed, or it cannot answer now (with `Retry-After`).

**Bodies and answers** are JSON. Unknown fields are refused with 422 and the field's name. Times are RFC 3339 in UTC.
Lists come in pages: `items` and `next_cursor`, which is null on the last.""".splitlines()
