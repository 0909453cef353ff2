#include "authz/request.h"

#include <stdlib.h>

#include "authz/path.h"

static void reset_peer(struct authz_peer *peer)
{
    *peer = (struct authz_peer){.labels = peer->labels, .label_capacity = peer->label_capacity};
}

void authz_request_reset(struct authz_request *request)
{
    struct buf scratch = request->scratch;
    struct authz_peer source = request->source, destination = request->destination;
    reset_peer(&source);
    reset_peer(&destination);
    scratch.len = 0;
    *request =
        (struct authz_request){.source = source, .destination = destination, .scratch = scratch};
}

static void prepare_peer(struct authz_peer *peer, const struct identity_domains *believed)
{
    if (!ip_parse_addr(peer->address_text, &peer->addr))
        peer->addr = (struct ip_addr){0};
    peer->port_known =
        peer->addr.family != 0 && !peer->port_is_named && peer->port_value <= UINT16_MAX;
    peer->port = peer->port_known ? (uint16_t)peer->port_value : 0;
    peer->identity = identity_parse(peer->principal, believed);
}

static void prepare_path(struct authz_request *request)
{
    /* The one request that has no path by design. */
    if (str_eq(request->method, STR("OPTIONS")) && str_eq(request->path, STR("*"))) {
        request->path_state = AUTHZ_PATH_NONE;
        return;
    }
    request->scratch.len = 0;
    char *out = buf_reserve(&request->scratch, request->path.len + 1);
    switch (path_normalise_request(request->path, out, &request->normal_path)) {
    case PATH_OK:
        request->path_state = AUTHZ_PATH_NORMAL;
        return;
    case PATH_NO_SLASH:
        request->path_state = AUTHZ_PATH_MALFORMED;
        return;
    case PATH_NOT_NORMALISABLE:
        request->path_state = AUTHZ_PATH_NOT_NORMALISABLE;
        return;
    }
}

void authz_request_prepare(struct authz_request *request, const struct identity_domains *believed)
{
    prepare_peer(&request->source, believed);
    prepare_peer(&request->destination, believed);
    request->protocol = request->protocol_value == 1 ? 17 : 6;
    if (request->has_http)
        prepare_path(request);
}

void authz_request_free(struct authz_request *request)
{
    free(request->source.labels);
    free(request->destination.labels);
    buf_free(&request->scratch);
    *request = (struct authz_request){0};
}
