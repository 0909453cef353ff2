"""A small client of the Kubernetes API: objects in, objects out, what the server refuses as an exception.

Threads may share a Client; each has a connection of its own, which is kept open between requests.
"""

import http.client
import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Iterator, Mapping
from urllib.parse import quote, urlencode

from mesh.certificates import Certificate

Object = dict[str, Any]

_TIMEOUT_SECONDS = 30.0
_BUSY_SECONDS = 0.1
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_FIELD_MANAGER = "tests"


class ApiError(Exception):
    """The server refused; `reason` is its one word for it (AlreadyExists, Forbidden, Invalid, Expired...)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Client:
    """Talks to one API server as one user."""

    def __init__(
        self, port: int, root: Path, *, token: str | None = None, certificate: Certificate | None = None
    ) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = ssl.create_default_context(cafile=str(root))
        if certificate:
            self._tls.load_cert_chain(certificate.certificate, certificate.key)
        self._local = threading.local()
        self._resources: dict[tuple[str, str], Object] = {}  # (apiVersion, kind) → what discovery says of it

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        """One request; returns the answer's JSON, or its text if it is none."""
        if query:
            path += "?" + urlencode(query)
        headers = dict(self._headers)
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        until = time.monotonic() + _TIMEOUT_SECONDS
        while True:
            response = self._exchange(method, path, content, headers)
            answer = _parse(response.read())
            # A server that is not done with its start says so.
            if response.status != 429 or time.monotonic() > until:
                break
            time.sleep(_BUSY_SECONDS)
        if response.status >= 400:
            raise _error(response.status, answer)
        return answer

    def flow_schema(self) -> str | None:
        """The uid of the FlowSchema by which the server counts this user's lists."""
        response = self._exchange("GET", "/api/v1/namespaces", None, self._headers)
        response.read()
        return response.getheader("X-Kubernetes-PF-FlowSchema-UID")

    def path(self, api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        """Where objects of this kind are; without a namespace, those of all namespaces."""
        resource = self._resource(api_version, kind)
        parts = [_root(api_version)]
        if namespace is not None and resource["namespaced"]:
            parts += ["namespaces", quote(namespace)]
        parts.append(resource["name"])
        if name is not None:
            parts.append(quote(name))
        return "/".join(parts)

    def path_of(self, thing: Object, *, named: bool = True) -> str:
        """Where this object is, or, if not `named`, where it is created."""
        metadata = thing["metadata"]
        name = metadata["name"] if named else None
        return self.path(thing["apiVersion"], thing["kind"], metadata.get("namespace"), name)

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object:
        """One object."""
        return self.request("GET", self.path(api_version, kind, namespace, name))

    def list_all(self, api_version: str, kind: str, namespace: str | None = None, **query: Any) -> Object:
        """The list, whose metadata has the resourceVersion to watch from."""
        return self.request("GET", self.path(api_version, kind, namespace), query=query)

    def create(self, thing: Object) -> Object:
        """Create an object, and give it its status if it has one here; unknown fields are refused."""
        made = self.request("POST", self.path_of(thing, named=False), thing, query={"fieldValidation": "Strict"})
        if "status" in thing:
            made = self.patch_status(thing, thing["status"])
        return made

    def apply(self, *things: Object) -> None:
        """Create the objects, or change them to be so."""
        for thing in things:
            query = {"fieldManager": _FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
            self.request("PATCH", self.path_of(thing), thing, content_type=_APPLY, query=query)

    def replace(self, thing: Object) -> Object:
        """Replace the whole object; a resourceVersion in it must be the present one."""
        return self.request("PUT", self.path_of(thing), thing, query={"fieldValidation": "Strict"})

    def patch(self, thing: Object, patch: Object) -> Object:
        """Merge something into an object; None deletes a field."""
        return self.request("PATCH", self.path_of(thing), patch, content_type=_MERGE)

    def patch_status(self, thing: Object, status: Object) -> Object:
        """Merge something into the status of an object whose status has an address of its own."""
        return self.request("PATCH", self.path_of(thing) + "/status", {"status": status}, content_type=_MERGE)

    def delete(self, *things: Object) -> None:
        """Delete the objects at once; those that are not there are no error."""
        for thing in things:
            try:
                self.request("DELETE", self.path_of(thing), {"gracePeriodSeconds": 0})
            except ApiError as error:
                if error.reason != "NotFound":
                    raise

    def delete_all(self, api_version: str, kind: str, namespace: str | None = None) -> None:
        """Delete all objects of a kind, of one namespace if it is given."""
        resource = self._resource(api_version, kind)
        if resource["namespaced"] and namespace is None:
            self.delete(*self._whole_items(api_version, kind))
        else:
            self.request("DELETE", self.path(api_version, kind, namespace), {"gracePeriodSeconds": 0})

    def watch(
        self, api_version: str, kind: str, version: str, namespace: str | None = None, **query: Any
    ) -> Iterator[Object]:
        """Events since a resourceVersion, until the server ends the stream or nothing comes for some time."""
        query = {"watch": "true", "resourceVersion": version, **query}
        connection = self._connect()
        try:
            path = self.path(api_version, kind, namespace) + "?" + urlencode(query)
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise _error(response.status, _parse(response.read()))
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def _whole_items(self, api_version: str, kind: str) -> list[Object]:
        listed = self.list_all(api_version, kind)["items"]
        return [{"apiVersion": api_version, "kind": kind, **thing} for thing in listed]

    def _resource(self, api_version: str, kind: str) -> Object:
        key = (api_version, kind)
        if key not in self._resources:
            for resource in self.request("GET", _root(api_version))["resources"]:
                if "/" not in resource["name"]:
                    self._resources[(api_version, resource["kind"])] = resource
        if key not in self._resources:
            raise UnknownKind(f"the server has no {kind} in {api_version}")
        return self._resources[key]

    def _exchange(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send over this thread's connection; over a new one if the server had closed it meanwhile."""
        kept = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                kept.request(method, path, content, headers)
                return kept.getresponse()
            except (http.client.HTTPException, ConnectionError, ssl.SSLError):
                kept.close()
        self._local.connection = self._connect()
        self._local.connection.request(method, path, content, headers)
        return self._local.connection.getresponse()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS, context=self._tls)


class UnknownKind(Exception):
    """The server does not know the kind; the message names it."""


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")


def _error(status: int, answer: Any) -> ApiError:
    if isinstance(answer, dict):
        return ApiError(status, answer.get("reason", ""), answer.get("message", ""))
    return ApiError(status, "", str(answer))
