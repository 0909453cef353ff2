"""The wire messages as Python modules, generated from proto/ at first import.

Nothing generated is kept: the modules live in a temporary folder that goes away
with the process.  Besides the messages as declared there are two looser copies,
made by rewriting the text of the .proto files, in packages of their own:

*_raw      every string is bytes and every map of strings a list of key/value
           pairs, so that any byte is allowed in a text; and what has to be
           judged by itself when it is broken (a policy, a profile, an entry of
           a tier) is an undecoded byte string.
*_shallow  like raw, and the submessages that a check does not need are
           undecoded byte strings too.
"""

import atexit
import importlib
import pathlib
import re
import shutil
import sys
import tempfile

import grpc_tools
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"

# Fields that the raw copy of felix.proto leaves undecoded.
FELIX_UNDECODED = ["Policy policy", "Profile profile", "PolicyID ingress_policies",
                   "PolicyID egress_policies"]

# Fields that the shallow copy of ext_authz.proto leaves undecoded.
UNNEEDED = [
    "map<string, string> context_extensions",
    "Metadata metadata_context",
    "Pipe pipe",
    "google.protobuf.Timestamp time",
    "map<string, string> headers",
]


def _undecoded(text, fields):
    """Turns the given fields (singular, repeated or map) into byte strings."""
    for field in fields:
        kind, name = field.rsplit(" ", 1)
        as_bytes = ("repeated bytes " if kind.startswith("map<") else "bytes ") + name
        assert field in text, field
        text = text.replace(field, as_bytes)
    return text


def _loosened(text, suffix, fields):
    """A copy of a .proto text in its own package, with bytes for strings."""
    text = re.sub(r"^package ([\w.]+);", rf"package {suffix}.\1;", text, flags=re.M)
    text = re.sub(r"//.*", "", text)
    text = re.sub(r"(?ms)^service .*?^}\n", "", text)
    text = _undecoded(text, fields)
    if "Timestamp " not in text:
        text = text.replace('import "google/protobuf/timestamp.proto";\n', "")
    text = text.replace("map<string, string>", "repeated Pair")
    text = re.sub(r"\bstring\b", "bytes", text)
    return (text.replace("map<bytes,", "map<string,")
            + "message Pair { bytes key = 1; bytes value = 2; }\n")


def _generate():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dikast-protos-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for source in PROTO.glob("*.proto"):
        shutil.copy(source, folder)
    felix = (PROTO / "felix.proto").read_text()
    ext_authz = (PROTO / "ext_authz.proto").read_text()
    for name, text in [
        ("felix_raw", _loosened(felix, "raw", FELIX_UNDECODED)),
        ("ext_authz_raw", _loosened(ext_authz, "raw", [])),
        ("ext_authz_shallow", _loosened(ext_authz, "shallow", UNNEEDED)),
    ]:
        (folder / f"{name}.proto").write_text(text)

    well_known = str(pathlib.Path(grpc_tools.__file__).parent / "_proto")
    files = sorted(path.name for path in folder.glob("*.proto"))
    failed = protoc.main(["protoc", f"-I{folder}", f"-I{well_known}", f"--python_out={folder}",
                          f"--grpc_python_out={folder}", *files])
    if failed:
        raise RuntimeError(f"protoc failed with {failed} on {', '.join(files)}")
    sys.path.insert(0, str(folder))


_generate()

felix = importlib.import_module("felix_pb2")
felix_raw = importlib.import_module("felix_raw_pb2")
ext_authz = importlib.import_module("ext_authz_pb2")
ext_authz_raw = importlib.import_module("ext_authz_raw_pb2")
ext_authz_shallow = importlib.import_module("ext_authz_shallow_pb2")
ext_authz_grpc = importlib.import_module("ext_authz_pb2_grpc")
ext_authz_v2_grpc = importlib.import_module("ext_authz_v2_pb2_grpc")
ext_authz_v2alpha_grpc = importlib.import_module("ext_authz_v2alpha_pb2_grpc")
dikastes = importlib.import_module("dikastes_pb2")
dikastes_grpc = importlib.import_module("dikastes_pb2_grpc")
grpc_health = importlib.import_module("grpc_health_pb2")
grpc_health_grpc = importlib.import_module("grpc_health_pb2_grpc")
csi = importlib.import_module("csi_pb2")
csi_grpc = importlib.import_module("csi_pb2_grpc")
