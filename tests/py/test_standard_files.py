"""Whoever starts a program may have closed its standard files: no socket must take their place, or the log would be written into it."""

import json
import os
import pathlib
import subprocess
import tempfile

import pytest

from node_agent import credentials_of
from probe import BUILD
from server import wait_for

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="dikast-") as path:
        folder = pathlib.Path(path)
        for name in "resources", "creds", "kubelet":
            (folder / name).mkdir()
        (folder / "creds" / "v.json").write_text(json.dumps(credentials_of("bank/web")))
        (folder / "config").write_text("{}")
        yield folder


PROGRAMS = {
    "felix": ("--directory resources --policy-sync-prefix $PWD --node n", "mount/v/socket"),
    "dikastes": ("server -l socket -d directory:resources --workload bank/web", "socket"),
    "csi-driver": ("--endpoint socket --nodeid n --kubelet-dir $PWD/kubelet --config config", "socket"),
}


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_takes_the_place(folder, program, closed):
    words, socket = PROGRAMS[program]
    clean = {name: value for name, value in os.environ.items() if not name.upper().startswith("FELIX_")}
    process = subprocess.Popen(["sh", "-c", f"exec {BUILD / 'bin' / program} {words} {closed}"], cwd=folder, env=clean,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (folder / socket).is_socket() or process.poll() is not None)
        assert process.poll() is None
        assert {os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}
    finally:
        process.kill()
        process.wait()
