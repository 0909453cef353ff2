/* gRPC status codes, as far as this program gives or reads them. A server may answer others (up
 * to 16); they are passed on as they are.
 * Source: the public gRPC documentation, "Status codes and their use in gRPC". */
#ifndef GRPC_STATUS_H
#define GRPC_STATUS_H

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
};

/* The longest message that is taken or given, in bytes, as in gRPC's other implementations. */
enum { GRPC_MESSAGE_LIMIT = 4 * 1024 * 1024 };

#endif
