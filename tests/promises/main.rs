//! What we promise to operators, one promise a file, each shown on the real command with real peers;
//! what only the library has a word for, on a server that is made of it.

#![expect(clippy::unwrap_used, reason = "what a test leans on panics as a test does")]

mod harness;

mod a_bad_config_changes_nothing;
mod a_client_goes_where_its_hello_leads;
mod a_config_runs_as_it_was_checked;
mod a_failing_signer_sends_its_alert;
mod a_hung_lookup_never_delays_exit;
mod a_killed_peer_is_a_bad_ending;
mod a_killed_pool_is_a_bad_ending;
mod a_page_has_byte_streams;
mod a_paused_reader_costs_a_bounded_room;
mod a_pool_is_hard_to_misuse;
mod a_pool_runs_as_services_do;
mod a_proxy_stands_between;
mod a_relay_never_turns_bad_into_good;
mod a_reload_touches_no_running_stream;
mod a_session_is_resumed_by_who_was_met;
mod a_slow_listener_of_events_stops_nothing;
mod a_slow_signer_stalls_nobody;
mod a_stalled_client_cannot_stop_accepts;
mod a_stalled_log_stops_nobody;
mod a_staple_is_served_and_told;
mod a_wrong_passphrase_is_told_from_a_missing_one;
mod an_identity_swap_touches_no_running_stream;
mod an_injection_before_an_upgrade_is_refused;
mod certificate_rules_hold_against_foreign_peers;
mod connect_exit_codes;
mod descriptors_never_leak;
mod drain_loses_nothing;
mod every_ending_names_who_ended_it;
mod files_go_through_intact;
mod gnutls_is_understood;
mod inspect_exit_codes;
mod inspect_tells_what_a_server_accepts;
mod keys_never_leave_the_pool;
mod no_fallback_behind_a_byte_of_tls;
mod no_tail_lost_on_half_close;
mod old_tls_is_refused_in_words;
mod queued_writes_never_leave_in_plaintext;
mod secrets_never_in_logs;
mod secrets_of_sessions_leave_on_request_alone;
mod serve_alone_works_as_printed;
mod stdin_is_left_as_it_was;
mod the_book_shows_an_exchange;
mod the_demo_shows_a_stream_live;
mod the_dev_ca_is_trusted_by_curl;
mod the_pool_loses_and_mixes_nothing;
mod the_pool_speaks_with_any_program;
mod truncation_is_never_clean;
mod two_thousand_streams_at_once;
mod websockets_carry_bytes;
