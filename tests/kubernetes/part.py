"""The programs that a real cluster is made of: which, in which version, and where they lie when they are built.

scripts/kubernetes-parts.py builds them into a cache that all checkouts share: `$DIKAST_CACHE/kubernetes-parts`, or
`~/.cache/dikast/kubernetes-parts`. A version has a folder of its own, which appears there whole or not at all.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "parts" / "parts.toml"


class NotBuilt(Exception):
    """A part is not in the cache; the message says what to do."""


@dataclass(frozen=True)
class Part:
    """One program of the table."""

    name: str
    module: str  # the Go module
    version: str  # of the module
    package: str  # the folder of the program in the module; empty: the module itself
    staging: str | None  # the version of the libraries that the module replaces by its own folders
    version_variable: str | None  # the Go variable that holds what the program says is its version

    @property
    def sums(self) -> Path:
        """The go.sum of its build: every module that goes into it is checked against this."""
        return TABLE.with_name(f"{self.name}.sum")

    @property
    def path(self) -> Path:
        """Where the program is, or will be."""
        return cache() / self.name / self.version / self.name


@dataclass(frozen=True)
class Toolchain:
    """The Go that is needed, and the PyPI package that brings one."""

    minimum: str
    package: str
    version: str


def cache() -> Path:
    """The folder of all parts."""
    folder = os.environ.get("DIKAST_CACHE") or Path.home() / ".cache" / "dikast"
    return Path(folder).absolute() / "kubernetes-parts"


def read_table() -> tuple[Toolchain, list[Part]]:
    """What parts.toml says."""
    table = tomllib.loads(TABLE.read_text())
    parts = [
        Part(
            name=name,
            module=row["module"],
            version=row["version"],
            package=row.get("package", ""),
            staging=row.get("staging"),
            version_variable=row.get("version-variable"),
        )
        for name, row in table["part"].items()
    ]
    return Toolchain(**table["toolchain"]), parts


def find_program(name: str) -> Path:
    """The program of a part; raise NotBuilt if it is not in the cache."""
    part = next(part for part in read_table()[1] if part.name == name)
    if not os.access(part.path, os.X_OK):
        raise NotBuilt(f"no {name} {part.version} at {part.path}. Run: make kubernetes-parts")
    return part.path
