/* One IP set that some rule in use needs: who is in it, and what the receiver has of it.
 *
 * Its members are counted in and out by those who know them: endpoints and network sets that match its selector
 * (calc/peer.h), or a service's addresses (calc/services.h).
 */
#ifndef CALC_IPSET_H
#define CALC_IPSET_H

#include "calc/label_index.h"
#include "calc/members.h"

struct ipset {
    struct label_selector match; /* of sets by selector; `selector` NULL: a service's */
    struct str id;               /* its place in the map of all sets */
    enum psync_set_type type;
    struct str port;                       /* of a named port's set */
    int protocol;                          /* of it: number, or -1: any */
    struct str service_namespace, service; /* of a service's set */
    struct members members;
    uint32_t
        unreadable; /* sources of members that nobody knows: rules that need the set must refuse */
    uint32_t users; /* rules; 0: about to go */
    bool is_sent;   /* the receiver has it, … */
    bool is_sent_unreadable; /* … as one that nobody can read */
    bool is_changed;         /* it is in `changed` */
    struct list *changed;    /* struct ipset: the sets that differ from what the receiver has */
    struct arena arena;      /* of id, port and selector */
};

/* A source of a member comes or goes. */
void ipset_count_member(struct ipset *set, const struct member *member, bool comes);
void ipset_count_unreadable(struct ipset *set, bool comes);

/* Puts the set on the list of those that changed. */
void ipset_note_change(struct ipset *set);

/* Sends what the receiver lacks: the set, or what changed of it; or nothing. */
void ipset_send(struct ipset *set, const struct psync_sink *sink);

#endif
