#include "authz/check_request.h"

#include "pb/reader.h"

/* Numbers in this file are the field numbers of Envoy's API. */

/* Another member of the Address oneof (a pipe, an Envoy-internal one) takes the place of a socket address. */
static void forget_address(struct authz_peer *peer, int32_t *protocol)
{
    peer->address_text = str_make(NULL, 0);
    peer->port_value = 0;
    peer->port_is_named = false;
    *protocol = 0;
}

/* Numbers of 32 bits: of what is larger the rest is cut off, as protobuf does. */
static bool decode_socket_address(struct str bytes, struct authz_peer *peer, int32_t *protocol)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            *protocol = (int32_t)(uint32_t)pb_varint(&r, &f);
            break;
        case 2:
            peer->address_text = pb_bytes(&r, &f);
            break;
        case 3:
            peer->port_value = (uint32_t)pb_varint(&r, &f);
            peer->port_is_named = false;
            break;
        case 4:
            pb_bytes(&r, &f);
            peer->port_value = 0;
            peer->port_is_named = true;
            break;
        }
    }
    return !r.failed;
}

static bool decode_address(struct str bytes, struct authz_peer *peer, int32_t *protocol)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 1) {
            if (!decode_socket_address(pb_bytes(&r, &f), peer, protocol))
                return false;
        } else if (f.number == 2 || f.number == 3) {
            pb_bytes(&r, &f);
            forget_address(peer, protocol);
        }
    }
    return !r.failed;
}

static bool decode_label(struct authz_request *request, struct str bytes, struct authz_peer *peer)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    struct label label = {0};
    while (pb_next(&r, &f)) {
        if (f.number == 1)
            label.key = pb_bytes(&r, &f);
        else if (f.number == 2)
            label.value = pb_bytes(&r, &f);
    }
    if (peer->label_count == CHECK_LABEL_LIMIT) {
        request->has_too_many_labels = true;
    } else {
        MEM_GROW(peer->labels, peer->label_count, peer->label_capacity);
        peer->labels[peer->label_count++] = label;
    }
    return !r.failed;
}

static bool decode_peer(struct authz_request *request, struct str bytes, struct authz_peer *peer,
                        int32_t *protocol)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            if (!decode_address(pb_bytes(&r, &f), peer, protocol))
                return false;
            break;
        case 3:
            if (!decode_label(request, pb_bytes(&r, &f), peer))
                return false;
            break;
        case 4:
            peer->principal = pb_bytes(&r, &f);
            break;
        }
    }
    return !r.failed;
}

static bool decode_http(struct str bytes, struct authz_request *request)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 2:
            request->method = pb_bytes(&r, &f);
            break;
        case 4:
            request->path = pb_bytes(&r, &f);
            break;
        case 5:
            request->host = pb_bytes(&r, &f);
            break;
        }
    }
    request->has_http = true;
    return !r.failed;
}

static bool decode_request(struct str bytes, struct authz_request *request)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    while (pb_next(&r, &f)) {
        if (f.number == 2 && !decode_http(pb_bytes(&r, &f), request))
            return false;
    }
    return !r.failed;
}

static bool decode_attributes(struct str bytes, struct authz_request *request)
{
    struct pb_reader r = pb_reader(bytes);
    struct pb_field f;
    int32_t source_protocol = 0; /* nobody asks for it */
    while (pb_next(&r, &f)) {
        switch (f.number) {
        case 1:
            if (!decode_peer(request, pb_bytes(&r, &f), &request->source, &source_protocol))
                return false;
            break;
        case 2:
            if (!decode_peer(request, pb_bytes(&r, &f), &request->destination,
                             &request->protocol_value))
                return false;
            break;
        case 4:
            if (!decode_request(pb_bytes(&r, &f), request))
                return false;
            break;
        }
    }
    return !r.failed;
}

bool check_request_decode(struct str message, struct authz_request *request)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    authz_request_reset(request);
    while (pb_next(&r, &f)) {
        if (f.number == 1 && !decode_attributes(pb_bytes(&r, &f), request))
            return false;
    }
    return !r.failed;
}
