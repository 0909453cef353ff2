/* dikastes client: asks a server about one made-up request and says the verdict and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authz/check_response.h"
#include "base/ip.h"
#include "base/mem.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "grpc/client.h"
#include "model/name.h"
#include "pb/writer.h"

enum { CLIENT_TIMEOUT = 5000 };

struct client_options {
    const char *dial, *method, *path, *from_ip, *to_ip, *to_port, *trust_domain;
    bool plain_text, tcp, help;
};

static void print_help(const struct option_spec *specs, size_t count)
{
    puts("Usage: dikastes client NAMESPACE ACCOUNT [OPTIONS]\n"
         "\n"
         "Asks a running server whether a request of that service account would pass, as Envoy "
         "would\n"
         "ask, and prints the verdict and what decided it.\n"
         "\n"
         "Options:");
    options_print(stdout, specs, count);
    puts("\n"
         "Exit status: 0 allowed, 1 wrong command line, 2 nobody answers, 3 denied.");
}

/* Peer{address = 1 {socket_address = 1 {address = 2, port_value = 3}}, principal = 4} */
static void write_peer(struct buf *out, uint32_t field, const char *ip, uint64_t port,
                       struct str principal)
{
    size_t peer = pb_begin(out, field);
    if (ip != NULL) {
        size_t address = pb_begin(out, 1);
        size_t socket_address = pb_begin(out, 1);
        pb_write_bytes(out, 2, str_from_c(ip));
        pb_write_varint(out, 3, port);
        pb_end(out, socket_address);
        pb_end(out, address);
    }
    if (principal.len > 0)
        pb_write_bytes(out, 4, principal);
    pb_end(out, peer);
}

/* CheckRequest{attributes = 1 {source = 1, destination = 2, request = 4 {http = 2 {method = 2, path = 4}}}} */
static void write_request(struct buf *out, const struct client_options *o, uint64_t to_port,
                          struct str principal)
{
    size_t attributes = pb_begin(out, 1);
    write_peer(out, 1, o->from_ip, 0, principal);
    write_peer(out, 2, o->to_ip, to_port, STR(""));
    if (!o->tcp) {
        size_t request = pb_begin(out, 4);
        size_t http = pb_begin(out, 2);
        pb_write_bytes(out, 2, str_from_c(o->method != NULL ? o->method : "GET"));
        pb_write_bytes(out, 4, str_from_c(o->path != NULL ? o->path : "/"));
        pb_end(out, http);
        pb_end(out, request);
    }
    pb_end(out, attributes);
}

static int print_answer(struct str response)
{
    struct check_answer answer;
    if (!check_response_decode(response, &answer)) {
        fprintf(stderr, "dikastes client: the server's answer is not a CheckResponse\n");
        return EXIT_CANNOT_ASK;
    }
    printf("%s: code %d", answer.code == AUTHZ_OK ? "allowed" : "denied", answer.code);
    if (name_is_of(answer.reason, "_")) /* a word, as in docs/reasons.md; else who knows what */
        printf(", reason %.*s", STR_ARG(answer.reason));
    else if (answer.message.len > 0)
        printf(", message %s", quote(answer.message).text);
    if (answer.tier.len > 0)
        printf(", tier %s", quote(answer.tier).text);
    if (answer.policy.len > 0)
        printf(", policy %s", quote(answer.policy).text);
    if (answer.rule >= 0)
        printf(", rule %d", answer.rule);
    putchar('\n');
    return answer.code == AUTHZ_OK ? EXIT_DONE : EXIT_NO;
}

static int ask(const struct client_options *o, uint64_t to_port, struct str principal)
{
    CLEANUP_ARENA struct arena arena = {0};
    CLEANUP_BUF struct buf request = {0};
    CLEANUP_BUF struct buf response = {0};
    CLEANUP_BUF struct buf message = {0};
    struct error err;
    enum grpc_code code;
    write_request(&request, o, to_port, principal);
    if (!grpc_client_unary(command_socket(&arena, o->dial),
                           STR("/envoy.service.auth.v3.Authorization/Check"), buf_str(&request),
                           CLIENT_TIMEOUT, &code, &response, &message, &err)) {
        fprintf(stderr, "dikastes client: %s\n", err.text);
        return EXIT_CANNOT_ASK;
    }
    if (code != GRPC_OK) {
        fprintf(stderr, "dikastes client: %s answers with gRPC status %d: %s\n",
                quote(str_from_c(o->dial)).text, code, quote(buf_str(&message)).text);
        return EXIT_CANNOT_ASK;
    }
    return print_answer(buf_str(&response));
}

static bool check_ip(const char *option, const char *text, struct error *err)
{
    struct ip_addr addr;
    if (text == NULL || ip_parse_addr(str_from_c(text), &addr))
        return true;
    return error_set(err, "--%s: %s is not an IP address", option, quote(str_from_c(text)).text);
}

/* A piece of the caller's SPIFFE name. */
static bool check_piece(const char *what, const char *text, struct error *err)
{
    return (text[0] != '\0' && strchr(text, '/') == NULL) ||
           error_set(err, "%s: %s is empty or holds a \"/\"", what, quote(str_from_c(text)).text);
}

static bool check_options(const struct client_options *o, uint64_t *to_port, struct error *err)
{
    if (!check_ip("from-ip", o->from_ip, err) || !check_ip("to-ip", o->to_ip, err))
        return false;
    if (o->tcp && (o->method != NULL || o->path != NULL))
        return error_set(err, "--tcp goes with neither --method nor --path");
    if (o->to_port != NULL && o->to_ip == NULL)
        return error_set(err, "--to-port needs --to-ip");
    *to_port = 0;
    if (o->to_port != NULL && !str_parse_uint(str_from_c(o->to_port), UINT16_MAX, to_port))
        return error_set(err, "--to-port: %s is not a port (0-65535)",
                         quote(str_from_c(o->to_port)).text);
    return true;
}

int command_client(int first, int argc, char **argv)
{
    struct client_options o = {.dial = DEFAULT_SOCKET, .trust_domain = "cluster.local"};
    const struct option_spec specs[] = {
        {'d', "dial", "PATH", "socket of the server (default: " DEFAULT_SOCKET ")", &o.dial, NULL},
        {0, "method", "METHOD", "HTTP method (default: GET)", &o.method, NULL},
        {0, "path", "PATH", "HTTP path (default: /)", &o.path, NULL},
        {0, "from-ip", "ADDRESS", "the caller's address (default: none, so it is unknown)",
         &o.from_ip, NULL},
        {0, "to-ip", "ADDRESS", "the pod's address (default: none, so it is unknown)", &o.to_ip,
         NULL},
        {0, "to-port", "PORT", "the pod's port", &o.to_port, NULL},
        {0, "trust-domain", "DOMAIN", "of the caller's certificate (default: cluster.local)",
         &o.trust_domain, NULL},
        {0, "plain-text", NULL,
         "the caller has no certificate (NAMESPACE and ACCOUNT are left out)", NULL, &o.plain_text},
        {0, "tcp", NULL, "a connection seen by the TCP filter: no method, no path", NULL, &o.tcp},
        {'h', "help", NULL, "this text", NULL, &o.help},
    };
    const size_t count = sizeof(specs) / sizeof(specs[0]);
    CLEANUP_ARENA struct arena arena = {0};
    struct error err;
    uint64_t to_port = 0;
    int words;
    if (!options_parse(specs, count, first, argc, argv, &words, &err))
        return command_usage_error("client", err.text);
    if (o.help) {
        print_help(specs, count);
        return EXIT_DONE;
    }
    if (words != (o.plain_text ? 0 : 2))
        return command_usage_error("client",
                                   "say NAMESPACE and ACCOUNT of the caller, or --plain-text");
    if (!check_options(&o, &to_port, &err) ||
        (!o.plain_text && (!check_piece("NAMESPACE", argv[first], &err) ||
                           !check_piece("ACCOUNT", argv[first + 1], &err) ||
                           !check_piece("--trust-domain", o.trust_domain, &err))))
        return command_usage_error("client", err.text);
    struct str principal = STR("");
    if (!o.plain_text)
        principal = arena_printf(&arena, "spiffe://%s/ns/%s/sa/%s", o.trust_domain, argv[first],
                                 argv[first + 1]);
    return ask(&o, to_port, principal);
}
