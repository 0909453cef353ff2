/* Private to decode*.c: the values that resources are made of, checked as the public API of Calico
 * (projectcalico.org/v3 and its validator) and of Kubernetes checks them. */
#ifndef MODEL_DECODE_VALUES_H
#define MODEL_DECODE_VALUES_H

#include "model/decode_fields.h"
#include "model/name.h"

/* The error says what kind of name was expected. *name is set even if the name is bad. */
bool value_subdomain(struct decoder *d, const struct field *f, struct str *name);

/* A map from label keys to label values, copied into `arena`. Bad ones are errors, and kept all the same if their values are scalars:
 * rules that name them shall still mean whoever bears them. `room` places more are allocated behind the end, for labels_put. */
void value_labels(struct decoder *d, const struct field *f, struct arena *arena, size_t room,
                  struct labels *out);

/* A map from annotation keys to any text. */
void value_annotations(struct decoder *d, const struct field *f, struct labels *out);

/* What upstream asks of a resource's annotations; nothing is kept. */
void value_check_annotations(struct decoder *d, const struct field *f);

/* A point in time (RFC 3339) as seconds since 1970; the error says what was expected. */
bool value_time(struct decoder *d, const struct field *f, int64_t *seconds);

/* Strings that are subdomains. */
struct model_strings value_names(struct decoder *d, const struct field *f);

/* A selector. Blank text is none. `global()` is refused unless `allow_global`, and then must stand alone. */
void value_selector(struct decoder *d, const struct field *f, bool allow_global,
                    struct model_selector *out);

/* A list of nets; the bad ones are left out. Bits behind the prefix are masked off, with a warning if `warn_bits`;
 * bare addresses are errors unless `allow_addr`. */
void value_nets(struct decoder *d, const struct field *f, bool allow_addr, bool warn_bits,
                struct model_nets *out);

/* A protocol by name or number. */
bool value_protocol(struct decoder *d, const struct field *f, struct model_protocol *out);
/* TCP, UDP and SCTP, as upstream. */
bool protocol_has_ports(uint8_t protocol);
/* The protocol of a Kubernetes port: TCP (the default), UDP or SCTP. Leaves *out alone if the field is absent. */
bool value_port_protocol(struct decoder *d, const struct field *f, struct model_protocol *out);

/* One port: a number, a range as text ("80:90"), or a name. `allow_range` false: no range. */
bool value_port(struct decoder *d, const struct field *f, bool allow_range, struct model_port *out);

#endif
