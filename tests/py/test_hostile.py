"""The list of attacks on programs of this kind, and the tests that each has here.

Paths are below tests/.  test_hostile_http2.py, _messages, _content and _socket attack the real
server; the others try a module by itself, or behind a real Envoy.

CVE-2019-9901, CVE-2021-29492, CVE-2021-31920: spellings of a path
    py/test_path.py::test_request_path                  raw -> normal or rejected (vectors/paths.yaml)
    py/test_path.py::test_normal_form_is_its_own_normal_form
    py/test_path.py::test_all_spellings_get_one_verdict
    py/test_path.py::test_respelling_keeps_the_normal_form
    py/test_hostile_content.py::test_way_to_admin
    e2e/test_paths.py::test_admin_is_not_reached
calico issue 12531: ";x", double encoding, NUL, backslash skip a deny rule
    py/test_path.py::test_request_path
    py/test_evaluate.py::test_rule_part                 unknown is never let through (vectors/rule_parts.yaml)
    py/test_hostile_content.py::test_way_to_admin
    e2e/test_paths.py::test_path_that_cannot_be_told_is_named_as_the_reason
CVE-2026-26205: "//a/b" taken as authority and path
    py/test_path.py::test_request_path                  "//admin/x", "http://h/x", "//", "/\\admin"
    py/test_hostile_content.py::test_way_to_admin
CVE-2026-32811: the query in the path, encoded again
    py/test_path.py::test_request_path                  "?", "%3F", "?" first
    py/test_hostile_content.py::test_query_and_fragment_beside_the_path
    py/test_hostile_content.py::test_path_without_a_slash
CVE-2021-39156, CVE-2021-32779: the fragment in the path
    py/test_path.py::test_request_path                  "#", "%23"
    py/test_hostile_content.py::test_way_to_admin
CVE-2020-8595: "?" and "#" skip the exact match
    py/test_path.py::test_prefix
    py/test_hostile_content.py::test_exact_path
CVE-2021-39155: the host compared with its case
    No rule asks for the host; that it changes nothing:
    py/test_hostile_messages.py::test_fields_that_nobody_asks_for
    py/test_hostile_content.py::test_forged_header
CVE-2026-33186: a path without its slash is routed, but matched by no rule
    py/test_hostile_http2.py::test_path_of_the_call_is_not_quite_the_method
    py/test_hostile_content.py::test_path_without_a_slash
    py/test_hostile_content.py::test_options_star_and_connect
    py/test_server_grpc.py::test_unknown_methods
    e2e/test_paths.py::test_options
CVE-2026-26308, CVE-2026-31838, CVE-2020-25017, CVE-2021-32777: one of several values of a header
    No rule asks for headers, and none is believed:
    py/test_hostile_content.py::test_forged_header
    e2e/test_envoy_http.py::test_forged_headers_change_nothing
Method override
    py/test_hostile_content.py::test_forged_header
    py/test_hostile_content.py::test_method_that_is_not_quite_get
    e2e/test_paths.py::test_methods_that_look_like_another
CVE-2019-9900, CVE-2026-47778, CVE-2022-21656: NUL and C strings; a name of another type
    py/test_check_request.py::test_texts_that_are_not_utf8
    py/test_identity.py::test_changed_good_principals_agree_with_model
    py/test_hostile_content.py::test_nobody
    py/test_hostile_content.py::test_somebody_else
    py/test_hostile_content.py::test_way_to_admin
CVE-2026-39350: "." in an account's name as a pattern
    py/test_hostile_content.py::test_somebody_else
    py/test_hostile_content.py::test_name_with_a_dot_and_a_dash
SPIFFE parsing
    py/test_identity.py::test_identity                  (vectors/identity.yaml)
    py/test_identity.py::test_random_principals_agree_with_model
    py/test_hostile_content.py::test_nobody
    e2e/test_envoy_http.py::test_identity_in_a_deny_rule
Empty principal
    py/test_evaluate.py::test_rule_part                 no IP set, no name: unknown
    py/test_hostile_content.py::test_no_name_at_all
Trust domain
    py/test_evaluate.py::test_rule_part                 foreign domains, pinned or not
    py/test_hostile_content.py::test_foreign_trust_domain
CVE-2023-27488: bytes that are not UTF-8 open the door
    py/test_check_request.py::test_texts_that_are_not_utf8
    py/test_server_grpc.py::test_bytes_that_are_not_utf8
    py/test_hostile_content.py::test_way_to_admin
    py/test_hostile_content.py::test_log_injection
CVE-2024-45808: log injection
    py/test_hostile_content.py::test_log_injection
    py/test_hostile_content.py::test_log_of_long_texts
    py/test_hostile_content.py::test_log_has_no_secrets
    unit/log_test.c::test_no_forgery
CVE-2023-44487, CVE-2021-32778: storms of streams that are opened and reset
    py/test_hostile_http2.py::test_a_million_rapid_resets
    py/test_hostile_http2.py::test_reset_storm
    py/test_hostile_http2.py::test_more_streams_than_allowed
    unit/grpc_peer_test.c::test_reset_flood
CVE-2024-28182, CVE-2024-27316, CVE-2024-30255: endless CONTINUATION
    py/test_hostile_http2.py::test_endless_continuation
    py/test_hostile_http2.py::test_header_bomb
    py/test_hostile_http2.py::test_many_headers
    unit/grpc_peer_test.c::test_continuations
CVE-2025-8671: the peer makes the server reset, and the work goes on
    py/test_hostile_http2.py::test_reset_storm
    py/test_hostile_http2.py::test_reset_watches
CVE-2026-27135: an assertion of nghttp2, after the end of the session
    py/test_hostile_http2.py::test_frames_after_the_servers_goaway
    py/test_hostile_http2.py::test_ignored              ALTSVC, ORIGIN, PRIORITY_UPDATE, unknown types
CVE-2019-15226: many small headers
    py/test_hostile_messages.py::test_ten_times_as_much_costs_about_ten_times_as_much
    py/test_hostile_messages.py::test_bomb
    py/test_server_grpc.py::test_too_big_message
Bombs of protobuf, and compression
    py/test_hostile_messages.py::test_bomb
    py/test_hostile_messages.py::test_framing
    py/test_hostile_messages.py::test_lengths_announced_and_never_sent
    py/test_check_request.py::test_broken_structures
    py/test_server_grpc.py::test_compressed_message
Floods, and peers that do not take their answers
    py/test_hostile_http2.py::test_flood
    py/test_hostile_http2.py::test_flood_of_frames_that_nobody_reads
    py/test_hostile_http2.py::test_settings_that_touch_every_open_stream
    py/test_hostile_http2.py::test_peers_that_never_read
    py/test_hostile_http2.py::test_peer_without_a_window
    py/test_hostile_socket.py::test_hundreds_of_idle_connections
    py/test_hostile_socket.py::test_memory_of_many_streams_is_given_back
    unit/grpc_peer_test.c::test_deaf_peer
Policy stream: large sets
    py/test_policy_sync.py::test_biggest_set
    py/test_policy_sync.py::test_large_policy
GO-2024-2704: a claim of one provider for another's identity
    There is one source of identity, the principal; see test_forged_header.
Stale policy
    py/test_policy_sync.py::test_no_wrong_verdict_while_the_policy_flips
    py/test_server_grpc.py::test_policy_edited_while_it_runs
Unix socket
    py/test_server_grpc.py::test_socket_is_open_to_other_users
    py/test_server_grpc.py::test_file_in_the_place_of_the_socket_is_kept
    py/test_directory.py::test_socket_path_is_a_link_to_a_file
    py/test_hostile_socket.py::test_mode_does_not_depend_on_the_umask
    py/test_hostile_socket.py::test_folder_that_is_a_link
    py/test_hostile_socket.py::test_server_that_took_over_keeps_its_socket
    py/test_hostile_socket.py::test_file_that_took_the_place_of_the_socket_is_kept
"""

import pathlib
import re

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
NAMED = sorted(set(re.findall(r"^    ([\w/]+\.(?:py|c))::(\w+)", __doc__, re.M)))


@pytest.mark.parametrize("file, test", NAMED, ids="::".join)
def test_what_the_list_names_is_there(file, test):
    start = "static void" if file.endswith(".c") else "def"
    text = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"^ *{start} {test}\(", text, re.M)
