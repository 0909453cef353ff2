"""A real cluster as far as a client of its API can tell: etcd and kube-apiserver, without nodes or controllers.

    with Cluster() as cluster:
        cluster.create_namespace("bank")
        cluster.admin.create(pod("bank", "customer", addresses=["10.0.0.1"]))

It lives in a folder of its own and on loopback ports, and leaves nothing behind on any way out. Starting takes some
four seconds, so tests share one (conftest.py) and take a namespace each. What controllers would do, this does: it ends
namespaces and gives pods their addresses.
"""

import json
import shutil
import subprocess
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Sequence

import yaml
from audit import POLICY, Request, read_requests
from client import ApiError, Client, Object, UnknownKind
from credentials import ADMIN, Credentials, write_kubeconfig
from objects import new_object
from servers import Server, api_server, etcd, free_port
from waiting import wait_until

CRDS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "crds"
STORED = "crd.projectcalico.org"  # the group that upstream stores resources in
NATIVE = "projectcalico.org"  # the group that users write, and newer clusters store

_RBAC = "rbac.authorization.k8s.io/v1"
_TIMEOUT_SECONDS = 30.0
_THREADS = 8
_ESTABLISH_SECONDS = 60.0


class Cluster:
    """The running servers, their administrator, and what one can do to them. Enter it to start them."""

    def __init__(self, flags: Sequence[str] = ()) -> None:
        """`flags` are further ones for kube-apiserver."""
        self._flags = flags
        self._exits = ExitStack()
        self.folder: Path
        self.port: int  # of the API server
        self.credentials: Credentials
        self.admin: Client  # may do everything
        self.etcd: Server
        self.api_server: Server

    def __enter__(self) -> "Cluster":
        try:
            self._start()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._exits.close()

    def _start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dikast-kubernetes-"))
        self._exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.credentials = Credentials(self.folder)
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(POLICY))
        self.port, self._etcd_port = free_port(), free_port()
        self.admin = self.client(token=self.credentials.admin_token)
        self.etcd = etcd(self.folder, self._etcd_port, self._etcd_lacks)
        self.api_server = api_server(
            self.folder, self.port, self._etcd_port, self.credentials.server, self._api_server_lacks
        )
        self.api_server.argv += self._flags
        self._exits.callback(self.etcd.kill)
        self.etcd.start()
        self._exits.callback(self.api_server.kill)
        self.api_server.start()
        self.grant(ADMIN, ADMIN, [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])

    # Clients

    @property
    def url(self) -> str:
        """What a kubeconfig calls the server."""
        return f"https://127.0.0.1:{self.port}"

    def client(self, **how: Any) -> Client:
        """A client that shows a token or a certificate, or nothing."""
        return Client(self.port, self.credentials.root, **how)

    def kubeconfig(self, path: Path, user: dict[str, str], *, server: str | None = None, embed: bool = False) -> Path:
        """Write a kubeconfig; `server` is another address than the API server's own, such as a proxy's."""
        return write_kubeconfig(path, server or self.url, self.credentials.root, user, embed)

    def admin_with_token(self) -> dict[str, str]:
        """The `user` of an administrator's kubeconfig."""
        return {"token": self.credentials.admin_token}

    def user_with_certificate(self, user: str = ADMIN) -> dict[str, str]:
        """The same with a client certificate, the administrator's or another user's."""
        files = self.credentials.client_certificate(user)
        return {"client-certificate": str(files.certificate), "client-key": str(files.key)}

    def account_token(self, namespace: str, account: str, seconds: int = 3600) -> str:
        """A token of a service account from the server, which gives none for less than ten minutes."""
        self._have_account(namespace, account)
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        path = self.admin.path("v1", "ServiceAccount", namespace, account) + "/token"
        return self.admin.request("POST", path, asked)["status"]["token"]

    def short_token(self, namespace: str, account: str, seconds: float) -> str:
        """A token that ends when it is told to, or has ended. The server remembers for 10 s that it took one."""
        uid = self._have_account(namespace, account)["metadata"]["uid"]
        return self.credentials.sign_token(namespace, account, uid, seconds)

    def mount_account(self, folder: Path, namespace: str, account: str) -> Path:
        """Write what a pod of the account finds in its file system."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(self.account_token(namespace, account))
        (folder / "namespace").write_text(namespace)
        shutil.copyfile(self.credentials.root, folder / "ca.crt")
        return folder

    def kubectl(self, *argv: str, stdin: str | None = None, config: Path | None = None) -> str:
        """Run kubectl, as the administrator unless told otherwise, and return what it prints; raise if it fails."""
        if config is None:
            config = self.folder / "admin.kubeconfig"
            if not config.exists():
                self.kubeconfig(config, self.admin_with_token())
        command = ["kubectl", f"--kubeconfig={config}", f"--cache-dir={self._kubectl_cache}", *argv]
        done = subprocess.run(
            command, input=stdin or "", capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(argv)} ended with status {done.returncode}:\n{done.stderr}")
        return done.stdout

    def requests(self, user: str) -> list[Request]:
        """What a user has asked for since the start, in order; the administrator with the token is not recorded."""
        return read_requests(self.folder / "audit.log", user)

    # Objects

    def create_all(self, things: Iterable[Object], threads: int = _THREADS) -> None:
        """Create many objects, with their status if they have one here, over several connections."""
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(self.admin.create, things):
                pass

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace; it is labelled with its own name by the server."""
        self.admin.create(new_object("v1", "Namespace", name, labels=labels))

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace with all that is in it, as the controllers would: terminating, emptied, gone."""
        namespace = new_object("v1", "Namespace", name)
        self.admin.delete(namespace)
        for api_version, kind in self._namespaced_kinds():
            self.admin.delete_all(api_version, kind, name)
        finalised = self.admin.get("v1", "Namespace", name)
        finalised["spec"]["finalizers"] = []
        self.admin.request("PUT", self.admin.path_of(namespace) + "/finalize", finalised)

    def grant(self, name: str, user: str, rules: Sequence[Object]) -> None:
        """Let a user do what the rules of a ClusterRole say; returns when it is in force."""
        role = {**new_object(_RBAC, "ClusterRole", name), "rules": list(rules)}
        binding = {
            **new_object(_RBAC, "ClusterRoleBinding", name),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
        self.admin.apply(role, binding)
        self._wait_for_access(user, rules, True)

    def withdraw(self, name: str) -> None:
        """Take back what grant() gave under this name; returns when it is in force."""
        binding = self.admin.get(_RBAC, "ClusterRoleBinding", name)
        role = self.admin.get(_RBAC, "ClusterRole", name)
        self.admin.delete({**new_object(_RBAC, "ClusterRoleBinding", name)}, {**new_object(_RBAC, "ClusterRole", name)})
        self._wait_for_access(binding["subjects"][0]["name"], role["rules"], False)

    def install_crds(self, group: str = STORED) -> None:
        """Install our resource definitions of a group; returns when the server answers for them."""
        definitions = read_crds(group)
        self.admin.apply(*definitions)
        self._wait_for_crds(definitions, True)

    def remove_crds(self, group: str = STORED) -> None:
        """Remove the resource definitions of a group, and so all resources of it; returns when they are gone."""
        definitions = read_crds(group)
        self.admin.delete(*definitions)
        self._wait_for_crds(definitions, False)

    # Trouble

    def restart(self, pause: Callable[[], None] | None = None) -> None:
        """End the API server as a crash would and start it again on the same port; `pause` runs while it is down."""
        self.api_server.kill()
        if pause:
            pause()
        self.api_server.start()

    def restart_etcd(self) -> None:
        """The same for the store: the API server stays, without an answer meanwhile."""
        self.etcd.kill()
        self.etcd.start()
        self.api_server_ready()

    def compact(self) -> None:
        """Let the store forget all versions but the present: pages of older lists cannot be continued."""
        revision = self._ask_etcd("/v3/maintenance/status", {})["header"]["revision"]
        self._ask_etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    def forget_history(self) -> None:
        """Make every resourceVersion that a client has now too old to watch from: the server answers it with 410."""
        version = new_object("v1", "ConfigMap", "history", "default")
        self.admin.delete(version)
        self.admin.create(version)
        self.compact()
        self.restart()

    def api_server_ready(self) -> None:
        """Wait until the API server says that it is ready."""
        wait_until(lambda: self._api_server_lacks() is None, "the API server is ready")

    def _have_account(self, namespace: str, account: str) -> Object:
        try:
            return self.admin.get("v1", "ServiceAccount", account, namespace)
        except ApiError as error:
            if error.reason != "NotFound":
                raise
            return self.admin.create(new_object("v1", "ServiceAccount", account, namespace))

    def _namespaced_kinds(self) -> list[tuple[str, str]]:
        """Every kind of object that a namespace may hold and that can be deleted."""
        groups = self.admin.request("GET", "/apis")["groups"]
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        kinds = []
        for version in versions:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for resource in self.admin.request("GET", root)["resources"]:
                if resource["namespaced"] and "deletecollection" in resource["verbs"]:
                    kinds.append((version, resource["kind"]))
        return kinds

    def _wait_for_access(self, user: str, rules: Sequence[Object], allowed: bool) -> None:
        first = rules[0]
        attributes = {"group": first["apiGroups"][0], "resource": first["resources"][0], "verb": first["verbs"][0]}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {"user": user, "resourceAttributes": attributes},
        }
        path = self.admin.path_of(review, named=False)
        wait_until(
            lambda: self.admin.request("POST", path, review)["status"]["allowed"] == allowed,
            f"{user} may{'' if allowed else ' not'} {attributes['verb']} {attributes['resource']}",
        )

    def _wait_for_crds(self, definitions: Sequence[Object], served: bool) -> None:
        # An old kubectl believes for minutes that there are the kinds that there were.
        shutil.rmtree(self._kubectl_cache, ignore_errors=True)
        state = "served" if served else "gone"
        wait_until(
            lambda: all(self._serves(definition) == served for definition in definitions),
            f"{definitions[0]['spec']['group']} is {state}",
            _ESTABLISH_SECONDS,
        )

    def _serves(self, definition: Object) -> bool:
        spec = definition["spec"]
        version = f"{spec['group']}/{spec['versions'][0]['name']}"
        try:
            # A client of its own: what one remembers of a server's kinds is not to answer here.
            self.client(token=self.credentials.admin_token).list_all(version, spec["names"]["kind"], limit=1)
        except (ApiError, UnknownKind):
            return False
        return True

    @property
    def _kubectl_cache(self) -> Path:
        return self.folder / "kubectl"

    def _api_server_lacks(self) -> str | None:
        try:
            self.admin.request("GET", "/readyz")
        except (OSError, ApiError) as error:
            return str(error)
        return None

    def _etcd_lacks(self) -> str | None:
        try:
            self._ask_etcd("/v3/maintenance/status", {})
        except OSError as error:
            return str(error)
        return None

    def _ask_etcd(self, path: str, body: Object) -> Object:
        request = urllib.request.Request(f"http://127.0.0.1:{self._etcd_port}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
            return json.load(response)


def read_crds(group: str) -> list[Object]:
    """Our resource definitions of a group."""
    return [yaml.safe_load(path.read_text()) for path in sorted((CRDS / group).glob("*.yaml"))]
