#include "calc/services.h"

#include <stdlib.h>

/* Lives while a slice or a set names it. */
struct service {
    struct str key;
    struct list slices, sets;
    char text[];
};

struct slice {
    struct str key;
    struct service *service; /* NULL: of none */
    bool is_unreadable;
    struct ip_addr *addresses;
    size_t address_count;
    struct model_slice_port *ports;
    size_t port_count;
    struct arena arena;
};

/* By a NUL, since names of broken slices may hold anything else (see model_key_text). */
static struct str make_key(struct buf *out, struct str namespace, struct str name)
{
    buf_append_str(out, namespace);
    buf_append_byte(out, '\0');
    buf_append_str(out, name);
    return buf_str(out);
}

static struct service *use_service(struct services *services, struct str namespace, struct str name)
{
    CLEANUP_BUF struct buf text = {0};
    struct str key = make_key(&text, namespace, name);
    struct service *service = map_get(&services->services, key);
    if (service == NULL) {
        service = mem_zalloc(sizeof(*service) + key.len);
        memcpy(service->text, key.ptr, key.len);
        service->key = str_make(service->text, key.len);
        map_set(&services->services, service->key, service);
    }
    return service;
}

static void free_service(struct service *service)
{
    list_free(&service->slices);
    list_free(&service->sets);
    free(service);
}

static void release_service(struct services *services, struct service *service)
{
    if (service->slices.count + service->sets.count > 0)
        return;
    map_remove(&services->services, service->key);
    free_service(service);
}

/* ---- counting ---- */

static void count_address(const struct slice *slice, const struct ip_addr *addr, struct ipset *set,
                          bool comes)
{
    if (set->type == PSYNC_SET_NET) {
        struct member member = {.addr = *addr, .prefix = (uint8_t)ip_bits(addr->family)};
        ipset_count_member(set, &member, comes);
        return;
    }
    for (size_t i = 0; i < slice->port_count; i++) {
        struct member member = {.addr = *addr,
                                .has_port = true,
                                .protocol = slice->ports[i].protocol,
                                .port = slice->ports[i].port};
        ipset_count_member(set, &member, comes);
    }
}

static void count_slice(const struct slice *slice, struct ipset *set, bool comes)
{
    if (slice->is_unreadable)
        ipset_count_unreadable(set, comes);
    for (size_t i = 0; i < slice->address_count; i++)
        count_address(slice, &slice->addresses[i], set, comes);
}

static void count_in_sets(const struct slice *slice, bool comes)
{
    for (uint32_t i = 0; slice->service != NULL && i < slice->service->sets.count; i++)
        count_slice(slice, slice->service->sets.items[i], comes);
}

/* ---- slices ---- */

static struct slice *make_slice(struct services *services, const struct model_resource *resource)
{
    const struct model_endpoint_slice *from = &resource->endpoint_slice;
    struct slice *slice = mem_zalloc(sizeof(*slice));
    CLEANUP_BUF struct buf key = {0};
    slice->key =
        arena_copy(&slice->arena, make_key(&key, resource->key.namespace, resource->key.name));
    if (from->service.len > 0)
        slice->service = use_service(services, resource->key.namespace, from->service);
    slice->is_unreadable = resource->broken.len > 0;
    slice->addresses = arena_array(&slice->arena, from->address_count, sizeof(*from->addresses));
    slice->address_count = from->address_count;
    slice->ports = arena_array(&slice->arena, from->port_count, sizeof(*from->ports));
    slice->port_count = from->port_count;
    if (from->address_count > 0)
        memcpy(slice->addresses, from->addresses, from->address_count * sizeof(*from->addresses));
    if (from->port_count > 0)
        memcpy(slice->ports, from->ports, from->port_count * sizeof(*from->ports));
    return slice;
}

static void free_slice(struct services *services, struct slice *slice)
{
    if (slice->service != NULL) {
        list_remove_item(&slice->service->slices, slice);
        release_service(services, slice->service);
    }
    arena_free(&slice->arena);
    free(slice);
}

void services_put(struct services *services, const struct model_resource *resource)
{
    struct slice *slice = make_slice(services, resource);
    struct slice *old = map_set(&services->slices, slice->key, slice);
    if (slice->service != NULL)
        list_add(&slice->service->slices, slice);
    /* In before out: what both say is no change. */
    count_in_sets(slice, true);
    if (old == NULL)
        return;
    count_in_sets(old, false);
    free_slice(services, old);
}

void services_remove(struct services *services, const struct model_key *key)
{
    CLEANUP_BUF struct buf text = {0};
    struct slice *slice = map_remove(&services->slices, make_key(&text, key->namespace, key->name));
    if (slice == NULL)
        return;
    count_in_sets(slice, false);
    free_slice(services, slice);
}

/* ---- sets ---- */

void services_attach(struct services *services, struct str namespace, struct str name,
                     struct ipset *set)
{
    struct service *service = use_service(services, namespace, name);
    list_add(&service->sets, set);
    for (uint32_t i = 0; i < service->slices.count; i++)
        count_slice(service->slices.items[i], set, true);
}

void services_detach(struct services *services, struct str namespace, struct str name,
                     const struct ipset *set)
{
    struct service *service = use_service(services, namespace, name);
    list_remove_item(&service->sets, set);
    release_service(services, service);
}

void services_free(struct services *services)
{
    size_t position = 0;
    struct map_entry *entry;
    while ((entry = map_next(&services->slices, &position)) != NULL) {
        struct slice *slice = entry->value;
        arena_free(&slice->arena);
        free(slice);
    }
    position = 0;
    while ((entry = map_next(&services->services, &position)) != NULL)
        free_service(entry->value);
    map_free(&services->slices);
    map_free(&services->services);
}
