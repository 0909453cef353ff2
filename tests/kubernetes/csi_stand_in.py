"""A CSI driver for csi-sanity to try: the real one, and beside it the controller that it has no need of.

csi-sanity calls NodePublishVolume only for volumes that it has had a controller create. Of an ephemeral volume there is no
more than an id and what kubelet says about the pod; this gives it both, and passes everything else on as it is,
byte by byte.
"""

import hashlib
from concurrent import futures
from typing import Callable, Mapping

import grpc

# Field numbers: container-storage-interface/spec, csi.proto.
_CONTROLLER_SERVICE = b"\x0a\x04\x0a\x02\x08\x01"  # capabilities {service {type: CONTROLLER_SERVICE}}
_CREATE_DELETE = b"\x0a\x04\x0a\x02\x08\x01"  # capabilities {rpc {type: CREATE_DELETE_VOLUME}}

_Handler = Callable[[bytes, grpc.ServicerContext], bytes]


class StandIn(grpc.GenericRpcHandler):
    """Listens at one address and passes on to another; `context` is what the volumes' volume_context is to be."""

    def __init__(self, address: str, driver: str, context: Mapping[str, str]) -> None:
        self._context = context
        self._channel = grpc.insecure_channel(driver)
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(address)
        self.passed: list[str] = []  # the methods that the driver was asked, in order

    def __enter__(self) -> "StandIn":
        self._server.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.stop(None).wait()
        self._channel.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """The handler of a method."""
        own: dict[str, _Handler] = {
            "/csi.v1.Identity/GetPluginCapabilities": lambda _request, _context: _CONTROLLER_SERVICE,
            "/csi.v1.Controller/ControllerGetCapabilities": lambda _request, _context: _CREATE_DELETE,
            "/csi.v1.Controller/CreateVolume": self._create,
            "/csi.v1.Controller/DeleteVolume": lambda _request, _context: b"",
        }
        method = handler_call_details.method
        return grpc.unary_unary_rpc_method_handler(own.get(method) or self._passing(method))

    def _passing(self, method: str) -> _Handler:
        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.passed.append(method.rpartition("/")[2])
            try:
                return self._channel.unary_unary(method)(request, timeout=30)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())
                raise

        return handle

    def _create(self, request: bytes, _context: grpc.ServicerContext) -> bytes:
        # The id is as kubelet makes them; a request for the same is answered by the same.
        volume = _text(2, "csi-" + hashlib.sha256(request).hexdigest())
        for key, value in self._context.items():
            volume += _field(3, _text(1, key) + _text(2, value))
        return _field(1, volume)


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, content: bytes) -> bytes:
    """A field with a length; all of ours are shorter than 16 KiB."""
    length = len(content)
    head = bytes([length]) if length < 0x80 else bytes([length & 0x7F | 0x80, length >> 7])
    return bytes([number << 3 | 2]) + head + content
