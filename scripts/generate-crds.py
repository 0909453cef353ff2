#!/usr/bin/env python3
"""Writes Calico's resource definitions to deploy/kubernetes/crds, a folder a group, from the tables in scripts/crd.

scripts/generate-crds.py          write them
scripts/generate-crds.py --check  say which of the files that are there are not what would be written
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from crd.kinds import KINDS, Kind
from crd.schema import Schema, record, text

_FOLDER = Path(__file__).resolve().parents[1] / "deploy" / "kubernetes" / "crds"
_NATIVE = "projectcalico.org"
_GROUPS = {"crd.projectcalico.org": "v1", _NATIVE: "v3"}
_HEADER = "# Written by scripts/generate-crds.py; change the tables in scripts/crd instead.\n"


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: not everything that reads such files knows them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _object_schema(kind: Kind, needs_spec: bool) -> Schema:
    fields = {
        "apiVersion": text("The group and version."),
        "kind": text("The kind."),
        "metadata": {"type": "object"},
        "spec": kind.spec(),
    }
    if kind.status:
        fields["status"] = kind.status()
    return record(fields, required=["metadata", "spec"] if needs_spec else [], rules=kind.rules())


def _version(kind: Kind, group: str) -> dict[str, Any]:
    native = group == _NATIVE
    version: dict[str, Any] = {"name": _GROUPS[group], "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": _object_schema(kind, native or kind.needs_spec)}
    if kind.status:
        version["subresources"] = {"status": {}}
    if native and kind.columns:
        columns = [{"name": column.name, "type": column.type, "jsonPath": column.path} for column in kind.columns]
        version["additionalPrinterColumns"] = columns
    if native and kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return version


def _definition(kind: Kind, group: str) -> dict[str, Any]:
    names: dict[str, Any] = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.name.lower(),
    }
    if group == _NATIVE and kind.short_names:
        names["shortNames"] = list(kind.short_names)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [_version(kind, group)],
        },
    }


def _files() -> dict[Path, str]:
    """Each file and what is to stand in it."""
    return {
        _FOLDER / group / f"{kind.plural}.yaml": _HEADER
        + yaml.dump(_definition(kind, group), Dumper=_Dumper, sort_keys=False, width=120)
        for group in _GROUPS
        for kind in KINDS
    }


def main() -> int:
    """Write, or compare."""
    files = _files()
    there = set(_FOLDER.rglob("*.yaml"))
    if sys.argv[1:] == ["--check"]:
        wrong = [path for path, content in files.items() if path not in there or path.read_text() != content]
        wrong += there - set(files)
        for path in sorted(wrong):
            print(f"{path}: not what scripts/generate-crds.py writes", file=sys.stderr)
        return 1 if wrong else 0
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    for path in there - set(files):
        path.unlink()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
