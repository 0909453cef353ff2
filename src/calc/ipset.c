#include "calc/ipset.h"

void ipset_note_change(struct ipset *set)
{
    if (set->is_changed)
        return;
    set->is_changed = true;
    list_add(set->changed, set);
}

void ipset_count_member(struct ipset *set, const struct member *member, bool comes)
{
    if (comes)
        members_add(&set->members, member);
    else
        members_remove(&set->members, member);
    ipset_note_change(set);
}

void ipset_count_unreadable(struct ipset *set, bool comes)
{
    set->unreadable += comes ? 1 : UINT32_MAX;
    ipset_note_change(set);
}

static void send_whole(struct ipset *set, const struct psync_sink *sink)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_message message = {.kind = PSYNC_IPSET_UPDATE,
                                    .ipset_update = {.id = set->id, .type = (int)set->type}};
    set->is_sent = true;
    set->is_sent_unreadable = set->unreadable > 0;
    if (set->is_sent_unreadable) {
        message.ipset_update.type = PSYNC_SET_UNREADABLE;
        members_set_untold(&set->members);
    } else {
        message.ipset_update.members = members_all(&set->members, &arena);
        members_set_told(&set->members);
    }
    sink->message(sink->ctx, &message);
}

static void send_delta(struct ipset *set, const struct psync_sink *sink)
{
    CLEANUP_ARENA struct arena arena = {0};
    struct psync_message message = {.kind = PSYNC_IPSET_DELTA, .ipset_delta = {.id = set->id}};
    members_take_changes(&set->members, &arena, &message.ipset_delta.added,
                         &message.ipset_delta.removed);
    if (message.ipset_delta.added.count + message.ipset_delta.removed.count > 0)
        sink->message(sink->ctx, &message);
}

void ipset_send(struct ipset *set, const struct psync_sink *sink)
{
    bool is_unreadable = set->unreadable > 0;
    if (!set->is_sent || set->is_sent_unreadable != is_unreadable)
        send_whole(set, sink);
    else if (!is_unreadable)
        send_delta(set, sink);
}
