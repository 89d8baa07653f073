"""Smithy shapes as a service model in botocore's form, the one that Outcrop digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.conformance.smithy.idl import Member, Shape, Traits, short

Json = dict[str, Any]

_FORMATS = {"date-time": "iso8601", "http-date": "rfc822", "epoch-seconds": "unixTimestamp"}
_KINDS = {"enum": "string", "intEnum": "integer", "union": "structure", "document": "structure"}
_PRELUDE = ("Blob", "Boolean", "String", "Timestamp", "Document")
_CONSTRAINTS = ("length", "range", "pattern")
_LOCATIONS = {
    "httpHeader": "header",
    "httpPrefixHeaders": "headers",
    "httpQuery": "querystring",
    "httpQueryParams": "querystring",
    "httpLabel": "uri",
    "httpResponseCode": "statusCode",
}


def service_model(shapes: Mapping[str, Shape]) -> Json:
    """All operations of all services as one service."""
    made: Json = {name: {"type": name.lower()} for name in _PRELUDE}
    made["Document"] = {"type": "structure", "members": {}, "document": True}
    operations: Json = {}
    for name, shape in shapes.items():
        if shape.kind == "operation" and "mixin" not in shape.traits:
            operations[name] = _operation(name, shape, shapes)
        elif shape.kind not in ("operation", "service", "resource"):
            made[name] = _shape(name, shape, shapes, made)
    return {"metadata": {}, "operations": operations, "shapes": made}


def _operation(name: str, shape: Shape, shapes: Mapping[str, Shape]) -> Json:
    http = shape.traits["http"]
    node = dict(shape.node)
    for mixin in shape.mixins:
        node = {**shapes[mixin].node, **node}
    made: Json = {
        "name": name,
        "http": {"method": http["method"], "requestUri": http["uri"], "responseCode": http.get("code", 200)},
        "errors": [{"shape": short(error)} for error in node.get("errors", ())],
    }
    for part in ("input", "output"):
        if part in node:
            made[part] = {"shape": short(node[part])}
    return made


def _shape(name: str, shape: Shape, shapes: Mapping[str, Shape], made: Json) -> Json:
    """A shape in botocore's form; `made` takes the shapes that members with constraints of their own need."""
    result: Json = {"type": _KINDS.get(shape.kind, shape.kind), **_own_traits(shape.traits)}
    if shape.kind == "enum":
        # Values that are marked internal are taken out of models before these are published.
        result["enum"] = [m.target for m in shape.members.values() if "internal" not in m.traits]
    elif shape.kind in ("list", "map"):
        for part, member in shape.members.items():
            result[part] = _member(name, part, member, shapes, made)
    elif shape.kind in ("structure", "union"):
        result["members"] = {key: _member(name, key, member, shapes, made) for key, member in shape.members.items()}
        result["required"] = [key for key, member in shape.members.items() if "required" in member.traits]
        _mark(result, shape)
    elif shape.kind == "document":
        result |= {"members": {}, "document": True}
    return result


def _mark(result: Json, shape: Shape) -> None:
    if shape.kind == "union":
        result["union"] = True
        if "streaming" in shape.traits:
            result["eventstream"] = True
    payload = next((key for key, member in shape.members.items() if "httpPayload" in member.traits), None)
    if payload is not None:
        result["payload"] = payload
    if "error" in shape.traits:
        fault = shape.traits["error"] == "server"
        status = shape.traits.get("httpError", 500 if fault else 400)
        result |= {"exception": True, "error": {"httpStatusCode": status}}


def _own_traits(traits: Traits) -> Json:
    result: Json = {}
    for trait in ("length", "range"):
        result |= traits.get(trait, {})
    if "pattern" in traits:
        result["pattern"] = traits["pattern"]
    if "timestampFormat" in traits:
        result["timestampFormat"] = _FORMATS[traits["timestampFormat"]]
    if "enum" in traits:
        result["enum"] = [each["value"] for each in traits["enum"] if "internal" not in each.get("tags", ())]
    result |= {trait: True for trait in ("sensitive", "sparse") if trait in traits}
    if traits.get("mediaType") == "application/json":
        result["jsonvalue"] = True
    return result


def _member(owner: str, name: str, member: Member, shapes: Mapping[str, Shape], made: Json) -> Json:
    traits = member.traits
    target = member.target
    if any(trait in traits for trait in _CONSTRAINTS):
        # botocore's members have no constraints of their own: they target a shape that has them.
        base = shapes.get(target, Shape(target.lower()))
        target = f"{owner}{name[0].upper()}{name[1:]}"
        merged = {**base.traits, **{trait: traits[trait] for trait in _CONSTRAINTS if trait in traits}}
        made[target] = _shape(target, Shape(base.kind, merged, base.members), shapes, made)
    result: Json = {"shape": target}
    if "jsonName" in traits:
        result["locationName"] = traits["jsonName"]
    for trait, location in _LOCATIONS.items():
        if trait in traits:
            given = traits[trait]
            result |= {"location": location, "locationName": given if isinstance(given, str) else name}
    if "timestampFormat" in traits:
        result["timestampFormat"] = _FORMATS[traits["timestampFormat"]]
    for trait, key in (("eventHeader", "eventheader"), ("eventPayload", "eventpayload")):
        if trait in traits:
            result[key] = True
    return result
