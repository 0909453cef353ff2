"""Access to a world, and the marks of what is broken.

A resource counts as broken if it has one of a few values that no decoder takes.  So the mark is part of the resource;
a flag beside it could be lost while a failing case is made smaller.
"""

import json

BAD_ACTION = "Permit"
BAD_NET = "10.0.0.0/99"
BAD_ADDRESS = "10.0.0.x"
BAD_ORDER = "soon"
BAD_TIER = 7
BAD_SELECTOR = "a = 'b'"
BAD_TYPE = "Sideways"

_GLOBAL = {"Namespace", "Profile", "Tier", "HostEndpoint"}

_MARKS = {BAD_ACTION, BAD_NET, BAD_ADDRESS, BAD_ORDER, BAD_SELECTOR, BAD_TYPE}


def is_broken(resource):
    text = json.dumps(resource)
    return resource.get("spec", {}).get("tier") == BAD_TIER or any(json.dumps(mark) in text for mark in _MARKS)


def of_kind(world, *kinds):
    """(kind, resource) of all resources of these kinds."""
    for name, resource in world.items():
        kind = name.partition(" ")[0]
        if kind in kinds:
            yield kind, resource


def namespace(resource):
    """Empty for the kinds that have none; a resource of another that does not say it is none of a world."""
    kind = resource["kind"]
    return "" if kind in _GLOBAL or "Global" in kind else resource["metadata"]["namespace"]


def labels(resource):
    return resource["metadata"].get("labels") or {}
