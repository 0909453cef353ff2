#include "kube/object.h"

#include "kube/split.h"

/* The object that is put together of what can be read. */
struct salvage {
    struct buf json;
    bool is_event;     /* its object may be taken apart as well */
    bool has_metadata; /* without it nobody knows which object it is */
};

static bool salvage(struct str json, bool is_event, struct buf *out);

static const struct doc_node *load(struct arena *arena, struct str json, struct error *err)
{
    struct doc_file file = doc_load(arena, json, true);
    if (file.count == 1 && !file.entries[0].failed)
        return file.entries[0].root;
    error_set(err, "%s", file.count == 1 ? file.entries[0].error.text : "it is nothing");
    return NULL;
}

/* As a text in JSON. What is in the way of that does not matter to people. */
static void append_problem(struct buf *out, const struct error *problem)
{
    buf_append_str(out, STR("\"unreadable: "));
    for (const char *c = problem->text; *c != '\0'; c++)
        buf_append_byte(out, *c < ' ' || *c > '~' || *c == '"' || *c == '\\' ? '\'' : *c);
    buf_append_byte(out, '"');
}

static bool on_field(void *ctx, struct str name, struct str json)
{
    struct salvage *whole = ctx;
    CLEANUP_ARENA struct arena arena = {0};
    struct error problem = {.text = ""};
    bool is_object = whole->is_event && str_eq(name, STR("object"));
    if (name.len == 0) /* it is too long for a name of Kubernetes' */
        return true;
    bool is_sound = load(&arena, json, &problem) != NULL;
    whole->has_metadata |= is_sound && str_eq(name, STR("metadata"));
    buf_printf(&whole->json, "%s\"%.*s\":", whole->json.len > 1 ? "," : "", STR_ARG(name));
    if (is_sound)
        buf_append_str(&whole->json, json);
    else if (is_object && salvage(json, false, &whole->json))
        whole->has_metadata = true;
    else
        append_problem(&whole->json, &problem);
    return true;
}

static bool pass_item(void *ctx, struct str json)
{
    (void)ctx;
    (void)json;
    return true;
}

/* Numbers, booleans and null are left out: no field of an object's own is one that counts. False: nothing was appended. */
static bool salvage(struct str json, bool is_event, struct buf *out)
{
    struct salvage whole = {.is_event = is_event};
    struct error unused;
    const struct kube_split_events pieces = {pass_item, on_field, &whole};
    struct kube_split *split = kube_split_new(SPLIT_LIST, NULL, NULL, &pieces);
    buf_append_byte(&whole.json, '{');
    bool ok = kube_split_feed(split, json, &unused);
    buf_append_byte(&whole.json, '}');
    ok = ok && whole.has_metadata;
    if (ok)
        buf_append_str(out, buf_str(&whole.json));
    buf_free(&whole.json);
    kube_split_free(split);
    return ok;
}

const struct doc_node *kube_object_load(struct arena *arena, struct str json, struct error *err)
{
    CLEANUP_BUF struct buf rest = {0};
    struct error problem, unused;
    const struct doc_node *root = load(arena, json, &problem);
    if (root == NULL && salvage(json, true, &rest))
        root = load(arena, buf_str(&rest), &unused);
    if (root != NULL && root->type == DOC_MAP)
        return root;
    error_set(err, "the API server sent no JSON object: %s",
              root == NULL ? problem.text : "it is another value");
    return NULL;
}
