/* All IP sets that rules in use need; equal ones are one. The id says what a set holds, so it is the same after a restart and
 * readable in a log:
 *
 *     s:SELECTOR                 type NET: addresses and nets of all that match
 *     n:PROTOCOL:PORT:SELECTOR   type IP_AND_PORT: that named port of all endpoints that match
 *     svc:NAMESPACE/NAME         type IP_AND_PORT: addresses and ports of a service
 *     svcnoport:NAMESPACE/NAME   type NET: addresses of a service
 *
 * with the selector in normal form. (A hash would be shorter, but two selectors must never share a set.)
 */
#ifndef CALC_IPSETS_H
#define CALC_IPSETS_H

#include "calc/ipset.h"

struct ipsets;

/* `parent_labels` as in calc/label_index.h. */
struct ipsets *ipsets_new(struct labels (*parent_labels)(void *ctx, struct str parent,
                                                         struct str *prefix),
                          void *ctx);
void ipsets_free(struct ipsets *ipsets);

/* ---- who may be in a set ---- */

/* Takes in a Pod, WorkloadEndpoint, HostEndpoint, NetworkSet or GlobalNetworkSet; it replaces one with the same key. */
void ipsets_put_peer(struct ipsets *ipsets, const struct model_resource *resource);
void ipsets_remove_peer(struct ipsets *ipsets, const struct model_key *key);
/* What a namespace or another profile passes on has changed. */
void ipsets_parent_changed(struct ipsets *ipsets, struct str name);
/* Takes in an EndpointSlice. */
void ipsets_put_slice(struct ipsets *ipsets, const struct model_resource *resource);
void ipsets_remove_slice(struct ipsets *ipsets, const struct model_key *key);

/* ---- who needs a set ---- */

/* Each of these counts as one user. What is passed in is copied. */
struct ipset *ipsets_use_selector(struct ipsets *ipsets, const struct selector *selector);
/* `selector` NULL: of all endpoints; `protocol` -1: any. */
struct ipset *ipsets_use_named_port(struct ipsets *ipsets, const struct selector *selector,
                                    int protocol, struct str port);
struct ipset *ipsets_use_service(struct ipsets *ipsets, struct str namespace, struct str name,
                                 bool with_ports);
/* One user less of each set in the list (struct ipset), which is freed. The sets stay until ipsets_send_removals. */
void ipsets_release_all(struct ipsets *ipsets, struct list *uses);

/* ---- telling ---- */

/* Sends sets that are new and what changed of the others; before whatever uses them. */
void ipsets_send_updates(struct ipsets *ipsets, const struct psync_sink *sink);
/* Sends the removal of sets without users; behind whatever used them. */
void ipsets_send_removals(struct ipsets *ipsets, const struct psync_sink *sink);

/* NULL: no such set. */
const struct ipset *ipsets_find(const struct ipsets *ipsets, struct str id);

struct ipsets_stats {
    size_t sets, members, peers;
    struct label_index_stats labels;
};
struct ipsets_stats ipsets_stats(const struct ipsets *ipsets);

#endif
