/* What has been sent: turns "this is what there should be" into "this is what changed".
 *
 * A round offers every message that should be in force; those that differ from what was sent before go out, and at the end of
 * the round what was not offered any more is removed. Order within a round, as receivers need it:
 *
 *     updates:  IP sets, policies, profiles, endpoint, service accounts, namespaces   (the order of the offers)
 *     removals: endpoint, profiles, policies, IP sets, service accounts, namespaces
 */
#ifndef CALC_SENT_H
#define CALC_SENT_H

#include "policysync/message.h"

struct sent;

struct sent *sent_new(void);
void sent_free(struct sent *sent);

void sent_begin(struct sent *sent, const struct psync_sink *sink);
/* An update message of any kind but a delta; members of an IP set must be sorted, none twice. A set that was sent before
 * goes out as a delta. */
void sent_offer(struct sent *sent, const struct psync_message *update);
void sent_end(struct sent *sent);

#endif
