/* From a document to resources, strictly, with every problem named by line and field.
 *
 * Accepted: the kinds of enum model_kind in their API versions (v1, networking.k8s.io/v1, discovery.k8s.io/v1,
 * projectcalico.org/v3, crd.projectcalico.org/v1) and lists of them (`kind: List`, `kind: PodList`, …).
 *
 * Problems:
 *   - errors make the resource `broken` (if its kind and name could be read; else nothing comes of it);
 *   - warnings leave it in force: an unknown field, an http part on a rule that does not Allow, bits behind a prefix,
 *     a kind of which nothing is taken (once a document).
 * Of one document at most 1000 problems are told.
 *
 * Names: Calico's policies of the default tier lose a leading "default." (older upstream stored it so). The TIER. of a
 * name in another tier is part of the name, as it is to upstream's users: without it the policies `x` of two tiers
 * would have one key. Of a resource stored as a CRD, the labels that upstream put aside in the annotation
 * projectcalico.org/metadata are taken from there; the name is not, since whoever may write the one object could take another's.
 *
 * Where upstream checks a resource twice, in calicoctl and in the schema of the newest API server, the limits on
 * sizes that only the latter has (selectors of 1024 bytes, 1024 rules, 256 nets, …) are not applied.
 * Of Kubernetes' own objects other than NetworkPolicy only the fields that count are looked at; the rest of their large
 * schemas is skipped without a word.
 *
 * Nothing that is returned points into the document.
 */
#ifndef MODEL_DECODE_H
#define MODEL_DECODE_H

#include "model/doc.h"
#include "model/resource.h"

struct model_problem {
    unsigned line; /* in the file */
    bool warning;
    /* "NetworkPolicy default/web: spec.ingress[0].source.nets[1]: \"10.0.0.0/33\" is not a CIDR (like 10.0.0.0/8)" */
    struct str message;
};

struct model_decoded {
    struct model_resource **resources; /* the caller frees each; the array is in the arena */
    size_t count;
    struct model_problem *problems; /* in the arena, in the order of lines */
    size_t problem_count;
    /* It holds something without a kind, an apiVersion or a name, or with wrong ones: nobody knows which resource that was to be. */
    bool is_partial;
};

struct model_decoded model_decode(struct arena *arena, const struct doc_node *document);

/* The same for an element of a list that was taken apart, which may leave out its apiVersion and kind: they are those given. */
struct model_decoded model_decode_element(struct arena *arena, const struct doc_node *document,
                                          struct str api, struct str kind);

/* A decoder for documents that doc_read hands out in parts. */
struct model_decoder;
struct model_decoder *model_decoder_new(void);
void model_decoder_free(struct model_decoder *decoder);

/* Decodes an item ahead of its document, with what is known of that (doc_taker's `item`). False: it, and all that follow it, must stay
 * in the document, whose kind may be theirs. */
bool model_decoder_take(struct model_decoder *decoder, const struct doc_node *document,
                        const struct doc_node *item, size_t index);
/* What came of a document, the items that were taken included; as from model_decode. The arrays are there until the next call, which
 * begins the next document. */
struct model_decoded model_decoder_finish(struct model_decoder *decoder,
                                          const struct doc_node *document);
/* The document turned out to be unreadable: so nothing comes of its items. */
void model_decoder_drop(struct model_decoder *decoder);

#endif
