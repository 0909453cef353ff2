/* probe: the modules' functions behind a line protocol, for tests in other languages.
 *
 * Reads one JSON object a line from standard input and answers each with one line. Bytes are base64. The operations are those
 * of tests/py/probe.py, which is their manual.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "authz/check_request.h"
#include "authz/interpreter.h"
#include "authz/path.h"
#include "authz/store.h"
#include "base/log.h"
#include "calc/calc.h"
#include "datastore/directory.h"
#include "model/decode.h"
#include "policysync/decode.h"
#include "policysync/encode.h"
#include "policysync/feed.h"
#include "selector/selector.h"

struct probe {
    struct authz_store *store;
    struct authz_snapshot *snapshot;
    struct authz_request request;
    struct arena domains_arena;
    struct identity_domains domains;
    int logged;
    struct calc *node;  /* of node_open; NULL before */
    struct feed *feed;  /* told what node_change answers */
    struct map readers; /* name -> struct reader */
};

struct reader {
    char *name;
    struct feed_reader *feed_reader;
    int told_ready; /* how often it was told that there is something to read */
};

/* ---- base64 ---- */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct str from_base64(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    char *out = arena_alloc(arena, len + 1);
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < len && text[i] != '='; i++) {
        const char *at = strchr(alphabet, text[i]);
        if (at == NULL)
            continue;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char)(bits >> have);
        }
    }
    return str_make(out, n);
}

static json_t *to_base64(struct str s)
{
    struct buf out = {0};
    for (size_t i = 0; i < s.len; i += 3) {
        uint32_t bits = 0;
        for (size_t j = 0; j < 3; j++)
            bits = bits << 8 | (i + j < s.len ? (unsigned char)s.ptr[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            buf_append_byte(&out, i + j <= s.len ? alphabet[bits >> (18 - 6 * j) & 63] : '=');
    }
    json_t *text = json_stringn(out.data, out.len);
    buf_free(&out);
    return text;
}

static struct str bytes_of(struct arena *arena, json_t *in, const char *key)
{
    const char *text = json_string_value(json_object_get(in, key));
    return text != NULL ? from_base64(arena, text) : str_make(NULL, 0);
}

static void set_base64(json_t *out, const char *key, struct str value)
{
    json_object_set_new(out, key, to_base64(value));
}

static void set_text(json_t *out, const char *key, struct str value)
{
    json_t *text = json_stringn(value.len > 0 ? value.ptr : "", value.len);
    json_object_set_new(out, key, text != NULL ? text : json_string("(not UTF-8)"));
}

static void set_bool(json_t *out, const char *key, bool value)
{
    json_object_set_new(out, key, json_boolean(value));
}

static void set_int(json_t *out, const char *key, long long value)
{
    json_object_set_new(out, key, json_integer(value));
}

/* ---- operations ---- */

static void op_path(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)p;
    struct str raw = bytes_of(arena, in, "raw"), normal;
    enum path_result result = path_normalise_request(raw, arena_alloc(arena, raw.len + 1), &normal);
    set_bool(out, "ok", result == PATH_OK);
    if (result == PATH_OK)
        set_base64(out, "normal", normal);
    if (result == PATH_NO_SLASH)
        set_bool(out, "invalid", true);
}

static void op_rule_path(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)p;
    struct str raw = bytes_of(arena, in, "raw"), normal;
    bool ok = path_normalise_rule(raw, arena_alloc(arena, raw.len + 1), &normal);
    set_bool(out, "ok", ok);
    if (ok)
        set_base64(out, "normal", normal);
}

static struct identity_domains read_domains(struct arena *arena, json_t *in)
{
    json_t *list = json_object_get(in, "trust_domains"), *item;
    size_t index;
    struct str *items = arena_array(arena, json_array_size(list), sizeof(*items));
    json_array_foreach (list, index, item)
        items[index] =
            arena_copy(arena, str_make(json_string_value(item), json_string_length(item)));
    return (struct identity_domains){items, json_array_size(list)};
}

static void op_identity(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    static const char *const kinds[] = {"none", "unknown", "spiffe"};
    (void)p;
    struct identity_domains domains = read_domains(arena, in);
    struct identity id = identity_parse(bytes_of(arena, in, "principal"), &domains);
    json_object_set_new(out, "kind", json_string(kinds[id.kind]));
    if (id.kind == IDENTITY_SPIFFE) {
        set_base64(out, "trust_domain", id.trust_domain);
        set_base64(out, "namespace", id.namespace);
        set_base64(out, "account", id.account);
    }
}

static void op_selector(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)p;
    struct error err;
    size_t position = 0;
    const struct selector *s = selector_parse(arena, bytes_of(arena, in, "text"), &position, &err);
    set_bool(out, "ok", s != NULL);
    if (s == NULL) {
        set_int(out, "position", (long long)position);
        set_text(out, "message", str_from_c(err.text));
        return;
    }
    CLEANUP_BUF struct buf text = {0};
    selector_format(&text, s);
    set_text(out, "normal", buf_str(&text));
    set_bool(out, "empty", s->is_empty);
}

static bool get_json_label(const void *ctx, struct str label, struct str *value)
{
    char *key = mem_strndup(label);
    json_t *item = json_object_get(ctx, key);
    free(key);
    if (item == NULL)
        return false;
    *value = str_make(json_string_value(item), json_string_length(item));
    return true;
}

static void op_selector_eval(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)p;
    struct error err;
    const struct selector *s = selector_parse(arena, bytes_of(arena, in, "text"), NULL, &err);
    set_bool(out, "ok", s != NULL);
    if (s != NULL) {
        struct selector_labels labels = {get_json_label, json_object_get(in, "labels")};
        set_bool(out, "match", selector_matches(s, &labels));
    }
}

static void op_cidr(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)p;
    struct ip_net net;
    bool ok = ip_parse_net(bytes_of(arena, in, "text"), &net);
    set_bool(out, "ok", ok);
    if (ok)
        set_text(out, "normal", str_from_c(ip_format_net(&net).text));
}

static void op_address(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)p;
    struct ip_addr addr;
    bool ok = ip_parse_addr(bytes_of(arena, in, "text"), &addr);
    set_bool(out, "ok", ok);
    if (ok)
        set_text(out, "normal", str_from_c(ip_format_addr(&addr).text));
}

static void op_reset(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)arena;
    authz_snapshot_unref(p->snapshot);
    authz_store_free(p->store);
    arena_free(&p->domains_arena);
    p->store = authz_store_new(NULL);
    p->snapshot = authz_store_commit(p->store);
    p->domains = read_domains(&p->domains_arena, in);
    set_bool(out, "ok", true);
}

static void op_sync(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    json_t *item;
    size_t index;
    struct error err;
    bool ok = true;
    json_array_foreach (json_object_get(in, "messages"), index, item) {
        struct psync_message message;
        if (!psync_decode(arena, from_base64(arena, json_string_value(item)), &message, &err)) {
            set_text(out, "error", str_from_c(err.text));
            ok = false;
            break;
        }
        authz_store_apply(p->store, &message);
    }
    struct authz_snapshot *next = authz_store_commit(p->store);
    authz_snapshot_unref(p->snapshot);
    p->snapshot = next;
    set_bool(out, "ok", ok);
}

static void count_logged(void *ctx, struct str tier, const struct psync_policy_id *policy, int rule)
{
    (void)tier;
    (void)policy;
    (void)rule;
    ((struct probe *)ctx)->logged++;
}

static void op_check(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    struct authz_observer observer = {count_logged, p};
    p->logged = 0;
    if (!check_request_decode(bytes_of(arena, in, "request"), &p->request)) {
        set_bool(out, "undecodable", true);
        return;
    }
    authz_request_prepare(&p->request, &p->domains);
    struct authz_verdict v = authz_interpret(p->snapshot, &p->request, &observer);
    set_int(out, "code", v.code);
    set_text(out, "reason", authz_reason_name(v.reason));
    set_text(out, "tier", v.tier);
    set_text(out, "policy", v.policy != NULL ? v.policy->name : STR(""));
    set_text(out, "kind", v.policy != NULL ? v.policy->kind : STR(""));
    set_text(out, "namespace", v.policy != NULL ? v.policy->namespace : STR(""));
    set_int(out, "rule", v.rule);
    set_text(out, "action", authz_verdict_action(&v));
    set_int(out, "logged", p->logged);
}

static void set_labels(json_t *out, const char *key, const struct authz_peer *peer)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < peer->label_count; i++) {
        char *name = mem_strndup(peer->labels[i].key);
        set_text(labels, name, peer->labels[i].value);
        free(name);
    }
    json_object_set_new(out, key, labels);
}

static void op_decode(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    struct authz_request *r = &p->request;
    bool ok = check_request_decode(bytes_of(arena, in, "request"), r) && !r->has_too_many_labels;
    set_bool(out, "ok", ok);
    if (!ok)
        return;
    set_base64(out, "source_address", r->source.address_text);
    set_int(out, "source_port", r->source.port_value);
    set_base64(out, "destination_address", r->destination.address_text);
    set_int(out, "destination_port", r->destination.port_value);
    set_int(out, "destination_protocol", r->protocol_value);
    set_base64(out, "source_principal", r->source.principal);
    set_base64(out, "destination_principal", r->destination.principal);
    set_labels(out, "source_labels", &r->source);
    set_labels(out, "destination_labels", &r->destination);
    set_bool(out, "has_http", r->has_http);
    set_base64(out, "method", r->method);
    set_base64(out, "path", r->path);
    set_base64(out, "host", r->host);
}

/* What a datastore tells goes to a calculation; what that sends goes into a JSON list. */
struct calculation {
    struct calc *calc;
    json_t *messages;
};

static void on_message(void *ctx, const struct psync_message *message)
{
    CLEANUP_BUF struct buf bytes = {0};
    psync_encode(&bytes, message);
    json_array_append_new(((struct calculation *)ctx)->messages, to_base64(buf_str(&bytes)));
}

static void on_resource(void *ctx, struct model_resource *resource)
{
    calc_update(((struct calculation *)ctx)->calc, resource);
}

static void on_resource_gone(void *ctx, const struct model_key *key)
{
    calc_remove(((struct calculation *)ctx)->calc, key);
}

static void on_in_sync(void *ctx)
{
    calc_set_in_sync(((struct calculation *)ctx)->calc);
}

static void ignore(void *ctx)
{
    (void)ctx;
}

static void op_calc(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)p;
    (void)arena;
    struct error err;
    struct loop *loop = loop_new(&err);
    const struct endpoints_scope scope = {
        .workload = str_from_c(json_string_value(json_object_get(in, "workload")))};
    struct calculation c = {calc_new(&scope), json_array()};
    const struct datastore_sink sink = {on_resource, on_resource_gone, ignore, on_in_sync, NULL,
                                        &c};
    struct directory *directory =
        directory_open(loop, json_string_value(json_object_get(in, "directory")), &sink, &err);
    set_bool(out, "ok", directory != NULL);
    if (directory == NULL)
        set_text(out, "error", str_from_c(err.text));
    else
        calc_flush(c.calc, &(struct psync_sink){on_message, ignore, &c});
    json_object_set_new(out, "messages", c.messages);
    directory_close(directory);
    calc_free(c.calc);
    loop_free(loop);
}

/* ---- a node's stream, change by change ---- */

static void free_reader(struct reader *reader)
{
    feed_leave(reader->feed_reader);
    free(reader->name);
    free(reader);
}

static void op_node_close(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    size_t position = 0;
    struct map_entry *entry;
    (void)arena;
    (void)in;
    while ((entry = map_next(&p->readers, &position)) != NULL)
        free_reader(entry->value);
    map_free(&p->readers);
    feed_free(p->feed);
    p->feed = NULL;
    calc_free(p->node);
    p->node = NULL;
    if (out != NULL)
        set_bool(out, "ok", true);
}

static bool calc_members(void *ctx, struct str id, struct arena *arena, int *type,
                         struct psync_strings *members)
{
    return calc_set_members(ctx, id, arena, type, members);
}

static void op_node_open(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    const struct endpoints_scope scope = {
        .node = str_from_c(json_string_value(json_object_get(in, "node"))),
        .workload = str_from_c(json_string_value(json_object_get(in, "workload")))};
    op_node_close(p, arena, in, out);
    p->node = calc_new(&scope);
    const struct feed_source source = {calc_members, p->node};
    p->feed = feed_new(&source);
}

/* Decodes one resource as a datastore does; NULL if nothing comes of it. */
static struct model_resource *decode_one(struct arena *arena, json_t *resource, json_t *problems)
{
    char *text = json_dumps(resource, JSON_COMPACT);
    struct doc_file file = doc_load(arena, str_from_c(text), true);
    struct model_resource *first = NULL;
    if (file.count == 1 && !file.entries[0].failed) {
        struct model_decoded decoded = model_decode(arena, file.entries[0].root);
        for (size_t i = 0; i < decoded.problem_count; i++)
            json_array_append_new(problems, json_stringn(decoded.problems[i].message.ptr,
                                                         decoded.problems[i].message.len));
        for (size_t i = 0; i < decoded.count; i++) {
            if (i == 0)
                first = decoded.resources[i];
            else
                model_resource_free(decoded.resources[i]);
        }
    }
    free(text);
    return first;
}

/* Into the answer and into the feed. */
struct node_sink {
    struct calculation calculation;
    struct psync_sink feed;
};

static void on_node_message(void *ctx, const struct psync_message *message)
{
    struct node_sink *sink = ctx;
    on_message(&sink->calculation, message);
    sink->feed.message(sink->feed.ctx, message);
}

static void on_node_batch_end(void *ctx)
{
    struct node_sink *sink = ctx;
    sink->feed.batch_end(sink->feed.ctx);
}

static void op_node_change(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    struct node_sink sink = {{p->node, json_array()}, feed_sink(p->feed)};
    json_t *problems = json_array(), *item;
    size_t index;
    json_array_foreach (json_object_get(in, "update"), index, item) {
        struct model_resource *resource = decode_one(arena, item, problems);
        if (resource != NULL)
            calc_update(p->node, resource);
    }
    json_array_foreach (json_object_get(in, "remove"), index, item) {
        json_t *ignored = json_array();
        struct model_resource *resource = decode_one(arena, item, ignored);
        json_decref(ignored);
        if (resource != NULL)
            calc_remove(p->node, &resource->key);
        model_resource_free(resource);
    }
    if (json_is_true(json_object_get(in, "in_sync")))
        calc_set_in_sync(p->node);
    calc_flush(p->node, &(struct psync_sink){on_node_message, on_node_batch_end, &sink});
    set_bool(out, "ok", true);
    json_object_set_new(out, "messages", sink.calculation.messages);
    json_object_set_new(out, "problems", problems);
}

static struct str text_of(json_t *in, const char *key)
{
    return str_from_c(json_string_value(json_object_get(in, key)));
}

static void on_reader_ready(void *ctx)
{
    ((struct reader *)ctx)->told_ready++;
}

static void op_node_leave(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    (void)arena;
    struct reader *reader = map_remove(&p->readers, text_of(in, "reader"));
    if (reader != NULL)
        free_reader(reader);
    set_bool(out, "ok", true);
}

static void op_node_join(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    struct reader *reader = mem_zalloc(sizeof(*reader));
    const struct feed_events events = {on_reader_ready, reader};
    const struct psync_endpoint_id id = {STR("k8s"), text_of(in, "workload"), STR("eth0")};
    op_node_leave(p, arena, in, out);
    reader->name = mem_strndup(text_of(in, "reader"));
    reader->feed_reader = feed_join(p->feed, &id, &events);
    map_set(&p->readers, str_from_c(reader->name), reader);
}

/* At most `most` messages; `end` says why there were not more. */
static void op_node_read(struct probe *p, struct arena *arena, json_t *in, json_t *out)
{
    static const char *const ends[] = {"more", "nothing", "ended", "behind"};
    struct reader *reader = map_get(&p->readers, text_of(in, "reader"));
    json_int_t most = json_integer_value(json_object_get(in, "most"));
    json_t *messages = json_array();
    enum feed_result result = FEED_MESSAGE;
    struct str message;
    (void)arena;
    while (most-- > 0 && (result = feed_read(reader->feed_reader, &message)) == FEED_MESSAGE)
        json_array_append_new(messages, to_base64(message));
    json_object_set_new(out, "messages", messages);
    json_object_set_new(out, "end", json_string(ends[result]));
    set_int(out, "told_ready", reader->told_ready);
}

static const struct {
    const char *name;
    void (*run)(struct probe *p, struct arena *arena, json_t *in, json_t *out);
} operations[] = {
    {"path", op_path},
    {"rule_path", op_rule_path},
    {"identity", op_identity},
    {"selector", op_selector},
    {"selector_eval", op_selector_eval},
    {"cidr", op_cidr},
    {"address", op_address},
    {"reset", op_reset},
    {"sync", op_sync},
    {"check", op_check},
    {"decode", op_decode},
    {"calc", op_calc},
    {"node_open", op_node_open},
    {"node_change", op_node_change},
    {"node_close", op_node_close},
    {"node_join", op_node_join},
    {"node_read", op_node_read},
    {"node_leave", op_node_leave},
};

static void answer(struct probe *p, const char *line, size_t len)
{
    CLEANUP_ARENA struct arena arena = {0};
    json_t *in = json_loadb(line, len, JSON_ALLOW_NUL, NULL), *out = json_object();
    const char *name = json_string_value(json_object_get(in, "op"));
    bool known = false;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (name != NULL && strcmp(name, operations[i].name) == 0) {
            operations[i].run(p, &arena, in, out);
            known = true;
        }
    }
    if (!known)
        set_text(out, "error", STR("unknown operation"));
    char *text = json_dumps(out, JSON_COMPACT);
    puts(text);
    fflush(stdout);
    free(text);
    json_decref(in);
    json_decref(out);
}

int main(void)
{
    struct probe p = {.store = authz_store_new(NULL)};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    log_set_level(LOG_ERROR);
    p.snapshot = authz_store_commit(p.store);
    while ((len = getline(&line, &capacity, stdin)) > 0)
        answer(&p, line, (size_t)len);
    free(line);
    authz_snapshot_unref(p.snapshot);
    authz_store_free(p.store);
    arena_free(&p.domains_arena);
    authz_request_free(&p.request);
    op_node_close(&p, NULL, NULL, NULL);
    return 0;
}
