#include "authz/identity.h"

static bool is_believed(struct str domain, const struct identity_domains *believed)
{
    for (size_t i = 0; i < believed->count; i++) {
        if (str_eq(domain, believed->items[i]))
            return true;
    }
    return believed->count == 0;
}

/* Takes the piece up to the next "/" (or the end, for the last one). Empty pieces fail. */
static bool take_piece(struct str *rest, bool last, struct str *piece)
{
    bool more = str_cut(*rest, '/', piece, rest);
    return piece->len > 0 && more != last;
}

struct identity identity_parse(struct str principal, const struct identity_domains *believed)
{
    struct identity id = {.kind = IDENTITY_NONE};
    if (principal.len == 0)
        return id;
    id.kind = IDENTITY_UNKNOWN;
    const struct str scheme = STR("spiffe://");
    struct str rest = str_from(principal, scheme.len), ns, sa;
    if (str_starts_with(principal, scheme) && take_piece(&rest, false, &id.trust_domain) &&
        take_piece(&rest, false, &ns) && str_eq(ns, STR("ns")) &&
        take_piece(&rest, false, &id.namespace) && take_piece(&rest, false, &sa) &&
        str_eq(sa, STR("sa")) && take_piece(&rest, true, &id.account) &&
        is_believed(id.trust_domain, believed))
        id.kind = IDENTITY_SPIFFE;
    return id;
}
