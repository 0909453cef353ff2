"""The configuration of one sidecar: what Istio would have told it, as a static file.

Inbound (the redirect brings every connection to one listener, which looks up where it was going):

    port and TLS or not ──► filter chain ──► ext_authz asks dikastes ──► router or tcp_proxy ──► application
    neither ──► no filter chain: closed

Outbound: every connection the application opens is carried on as mutual TLS to where it was going. Istio
would read HTTP here too, for its routes; a mesh without routes needs only the bytes, and the tests can be
sure that nothing normalises a request before it reaches the sidecar that judges it.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from .certificates import Certificate
from .network import INBOUND_PORT, OUTBOUND_PORT

Config = dict[str, Any]

ADMIN_PORT = 15000
HTTP_FILTER = "envoy.filters.http.ext_authz"
TCP_FILTER = "envoy.filters.network.ext_authz"
METADATA_KEYS = ("tier", "policy", "rule", "action", "reason")

# Envoy's default of 200 ms is for production. A late answer is refused too, but as an error: on a busy test
# machine that would be a failure that says nothing about the verdict.
_CHECK_TIMEOUT = "2s"
_CONNECT_TIMEOUT = "2s"

_TYPE = "type.googleapis.com/envoy."
_APPLICATION = "application"
_MESH = "mesh"
_DIKASTES = "dikastes"


class MutualTls(Enum):
    """Istio's PeerAuthentication modes."""

    STRICT = "STRICT"
    PERMISSIVE = "PERMISSIVE"


class Protocol(Enum):
    """What the sidecar takes the connections of a port for, and so which ext_authz filter asks."""

    HTTP = "http"
    TCP = "tcp"


@dataclass(frozen=True)
class InboundPort:
    """A port of the application, and how the sidecar guards it."""

    number: int
    protocol: Protocol = Protocol.HTTP
    mutual_tls: MutualTls = MutualTls.STRICT
    normalize_path: bool = True  # Istio's default (pathNormalization BASE)


@dataclass(frozen=True)
class Sidecar:
    """All that tells one sidecar from another."""

    ports: tuple[InboundPort, ...]
    certificate: Certificate
    dikastes_socket: Path
    access_log: Path


def bootstrap(sidecar: Sidecar) -> Config:
    """The whole configuration, ready to be written as YAML or JSON."""
    return {
        "admin": {"address": _socket_address("127.0.0.1", ADMIN_PORT)},
        "static_resources": {
            # Envoy takes no listener without filter chains: a pod that only calls has no inbound one.
            "listeners": [*([_inbound(sidecar)] if sidecar.ports else []), _outbound()],
            "clusters": [
                _original_destination(_APPLICATION),
                _original_destination(_MESH) | {"transport_socket": _client_tls(sidecar.certificate)},
                _dikastes_cluster(sidecar.dikastes_socket),
            ],
        },
    }


def _inbound(sidecar: Sidecar) -> Config:
    chains = []
    for port in sidecar.ports:
        chains.append(_chain(port, "tls", sidecar) | {"transport_socket": _server_tls(sidecar.certificate)})
        if port.mutual_tls is MutualTls.PERMISSIVE:
            chains.append(_chain(port, "raw_buffer", sidecar))
    return {
        "name": "inbound",
        "address": _socket_address("0.0.0.0", INBOUND_PORT),
        "listener_filters": [
            _typed("envoy.filters.listener.original_dst", "extensions.filters.listener.original_dst.v3.OriginalDst"),
            _typed("envoy.filters.listener.tls_inspector", "extensions.filters.listener.tls_inspector.v3.TlsInspector"),
        ],
        "filter_chains": chains,
        # Only what no filter chain took: the connections that STRICT turns away.
        "access_log": [_access_log(sidecar.access_log, TCP_FILTER) | {"filter": _only_without_chain()}],
    }


def _chain(port: InboundPort, transport: str, sidecar: Sidecar) -> Config:
    filters = _http_filters(port, sidecar) if port.protocol is Protocol.HTTP else _tcp_filters(sidecar)
    return {
        "name": f"{port.number}-{port.protocol.value}-{transport}",
        "filter_chain_match": {"destination_port": port.number, "transport_protocol": transport},
        "filters": filters,
    }


def _http_filters(port: InboundPort, sidecar: Sidecar) -> list[Config]:
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=f"inbound_{port.number}",
        normalize_path=port.normalize_path,
        # As Istio: the header passes through, so whoever believes it believes the caller.
        forward_client_cert_details="APPEND_FORWARD",
        set_current_client_cert_details={"uri": True},
        # The story and the tests find a request's line in the log by the identifier they sent with it.
        preserve_external_request_id=True,
        http_filters=[
            _typed(HTTP_FILTER, "extensions.filters.http.ext_authz.v3.ExtAuthz", **_ask_dikastes()),
            _typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router"),
        ],
        route_config={
            "virtual_hosts": [
                {
                    "name": "application",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": _APPLICATION}}],
                }
            ]
        },
        access_log=[_access_log(sidecar.access_log, HTTP_FILTER)],
    )
    return [manager]


def _tcp_filters(sidecar: Sidecar) -> list[Config]:
    return [
        _typed(
            TCP_FILTER,
            "extensions.filters.network.ext_authz.v3.ExtAuthz",
            stat_prefix="inbound_tcp",
            **_ask_dikastes(),
        ),
        _typed(
            "envoy.filters.network.tcp_proxy",
            "extensions.filters.network.tcp_proxy.v3.TcpProxy",
            stat_prefix="inbound_tcp",
            cluster=_APPLICATION,
            access_log=[_access_log(sidecar.access_log, TCP_FILTER)],
        ),
    ]


def _ask_dikastes() -> Config:
    return {
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "grpc_service": {"envoy_grpc": {"cluster_name": _DIKASTES}, "timeout": _CHECK_TIMEOUT},
    }


def _outbound() -> Config:
    proxy = _typed(
        "envoy.filters.network.tcp_proxy",
        "extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix="outbound",
        cluster=_MESH,
    )
    return {
        "name": "outbound",
        "address": _socket_address("0.0.0.0", OUTBOUND_PORT),
        "listener_filters": [
            _typed("envoy.filters.listener.original_dst", "extensions.filters.listener.original_dst.v3.OriginalDst"),
        ],
        "filter_chains": [{"filters": [proxy]}],
    }


def _original_destination(name: str) -> Config:
    return {
        "name": name,
        "type": "ORIGINAL_DST",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": _CONNECT_TIMEOUT,
    }


def _dikastes_cluster(socket: Path) -> Config:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    return {
        "name": _DIKASTES,
        "type": "STATIC",
        "connect_timeout": _CONNECT_TIMEOUT,
        "load_assignment": {"cluster_name": _DIKASTES, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPE + "extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }


def _server_tls(certificate: Certificate) -> Config:
    return _typed(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        require_client_certificate=True,
        common_tls_context=_tls(certificate) | {"alpn_protocols": ["h2", "http/1.1"]},
    )


def _client_tls(certificate: Certificate) -> Config:
    return _typed(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context=_tls(certificate),
    )


def _tls(certificate: Certificate) -> Config:
    return {
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(certificate.certificate)},
                "private_key": {"filename": str(certificate.key)},
            }
        ],
        "validation_context": {"trusted_ca": {"filename": str(certificate.authority)}},
    }


def _access_log(path: Path, authorization_filter: str) -> Config:
    """One JSON object a line: the request, Envoy's answer and, from dynamic metadata, dikastes' reason."""
    fields = {
        # The connection's address; without DIRECT it would be whatever x-forwarded-for claims.
        "source": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
        "destination": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "peer": "%DOWNSTREAM_PEER_URI_SAN%",
        "id": "%REQ(X-REQUEST-ID)%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "code": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "termination": "%CONNECTION_TERMINATION_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
    }
    fields |= {key: f"%DYNAMIC_METADATA({authorization_filter}:{key})%" for key in METADATA_KEYS}
    return _typed(
        "envoy.access_loggers.file",
        "extensions.access_loggers.file.v3.FileAccessLog",
        path=str(path),
        log_format={"json_format": fields},
    )


def _only_without_chain() -> Config:
    return {"response_flag_filter": {"flags": ["NR"]}}


def _socket_address(address: str, port: int) -> Config:
    return {"socket_address": {"address": address, "port_value": port}}


def _typed(name: str, message: str, **fields: Any) -> Config:
    return {"name": name, "typed_config": {"@type": _TYPE + message} | fields}
