//! One behaviour suite for both databases, and what only one of them has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod behaviour;
mod cascades;
mod connections;
mod faults;
mod feedback;
mod flows;
mod identity;
mod instructions;
mod ledger;
mod memory;
mod migrations;
mod moved;
mod people;
mod postgres;
mod rates;
mod requests;
mod rotation;
mod run_rows;
mod runs;
mod sealing;
mod servers;
mod sessions;
mod source;
mod sqlite;
mod support;

use ledger::index as event_index;
use support::TestDb;

/// Declares a test on SQLite for each behaviour, and one test on PostgreSQL that runs them all against one server.
macro_rules! behaviours {
    ($($module:ident :: $name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let db = super::TestDb::sqlite();
                eprintln!("{} on {}", stringify!($name), db.name());
                super::$module::$name(&db).await;
            })*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_behaviour_on_postgres() {
            let Some(server) = bailiwick_testkit::postgres::Postgres::shared() else { return };
            $({
                let db = TestDb::postgres(server);
                eprintln!("{} on {}", stringify!($name), db.name());
                $module::$name(&db).await;
            })*
        }
    };
}

behaviours! {
    identity::organisations_are_created_once_and_listed,
    identity::agents_are_created_listed_and_disabled,
    identity::launch_makes_what_is_missing_and_keeps_keys_meaning,
    identity::a_token_is_admitted_as_the_agent_it_names,
    identity::keys_verify_expire_and_are_revoked,
    identity::another_replica_notices_a_revocation,
    identity::a_stale_copy_is_not_used,
    identity::a_moved_key_row_does_not_verify,
    identity::key_uses_are_written_once_a_minute,
    identity::keys_are_limited_and_checked,
    sealing::secrets_are_set_opened_and_deleted,
    sealing::swapped_and_altered_rows_do_not_open,
    sealing::a_sealed_store_serves_what_needs_no_secret,
    sealing::the_wrong_root_key_is_refused,
    sealing::first_opening_at_the_same_time_agrees_on_one_key,
    sealing::ledger_keys_are_stable_and_differ,
    rotation::an_organisations_key_is_changed_and_retired,
    rotation::the_root_key_is_changed_while_both_are_in_use,
    rotation::keys_made_between_the_two_steps_are_taken_over,
    rotation::a_change_of_the_root_key_can_be_taken_back_but_not_doubled,
    rotation::secrets_are_written_while_keys_change,
    moved::no_moved_row_opens,
    moved::no_renamed_row_opens,
    rotation::tokens_of_servers_are_moved_with_the_rest,
    servers::servers_are_registered_seen_and_changed,
    servers::names_are_unique_before_every_eye,
    servers::only_the_registrar_changes_a_server,
    servers::tools_are_known_per_organisation,
    servers::tools_have_limits,
    servers::allowed_tools_are_set_and_copied,
    servers::clients_belong_to_their_issuer,
    servers::organisations_have_contexts_credentials_and_settings,
    servers::servers_are_limited,
    cascades::who_loses_a_server_loses_all_that_was_there_and_nobody_else,
    cascades::who_leaves_takes_his_connections_along,
    cascades::without_the_root_key_everything_goes_unrevoked,
    cascades::nothing_is_left_by_who_was_just_connecting,
    connections::tokens_are_kept_opened_and_deleted,
    connections::one_gateway_refreshes_at_a_time,
    connections::a_lease_of_another_time_changes_nothing,
    connections::a_refresh_fails_in_three_ways,
    connections::gateways_at_the_same_time_get_one_lease,
    flows::a_flow_is_taken_once_by_whom_it_belongs_to,
    flows::flows_are_bound_to_one_browser,
    flows::flows_are_limited_and_pruned,
    flows::a_damaged_flow_is_gone,
    flows::tokens_are_revoked_with_patience,
    memory::memory_belongs_to_agent_module_and_topic,
    people::members_are_added_changed_and_removed,
    people::the_last_administrator_stays,
    people::two_administrators_cannot_remove_each_other,
    people::groups_hold_members_and_answer_for_agents,
    people::keys_of_members_end_with_their_membership,
    people::a_key_moved_to_another_member_does_not_verify,
    people::people_of_other_organisations_do_not_exist,
    people::platform_administrators_stand_above,
    people::what_a_token_says_counts_within_its_organisation,
    people::nobody_becomes_platform_administrator_by_a_name,
    requests::answers_are_kept_for_their_principal,
    requests::keys_rotate_with_overlap,
    requests::agents_change_in_one_step,
    requests::secrets_are_set_at_a_version,
    rates::gateways_at_the_same_time_never_take_more_than_the_rate,
    rates::unused_calls_come_back_and_a_full_rate_takes_nothing_of_the_others,
    rates::rates_belong_to_their_agent_and_are_pruned,
    sessions::sessions_belong_to_their_agent,
    sessions::sessions_are_limited_and_pruned,
    sessions::another_replica_notices_the_end,
    instructions::instructions_are_written_listed_and_read_again,
    instructions::instructions_are_paged_by_layer_kind_and_slug,
    instructions::expected_versions_are_kept_to,
    instructions::deleted_instructions_keep_their_versions,
    instructions::instructions_are_reverted_under_the_rules_of_today,
    instructions::writers_at_the_same_time_lose_nothing,
    instructions::the_largest_texts_fit_and_their_number_is_limited,
    instructions::instructions_belong_to_their_organisation,
    runs::runs_of_a_session_are_a_stack,
    runs::a_session_id_alone_finds_nothing,
    runs::a_named_run_is_an_open_one_of_the_same_subject,
    runs::runs_outlive_their_connection,
    runs::only_the_one_run_of_an_owner_is_inferred,
    run_rows::runs_are_ended_by_their_subject_or_an_administrator,
    run_rows::a_start_freezes_the_instruction,
    run_rows::what_is_seen_of_a_run_is_written_now_and_then,
    runs::owners_without_runs_cost_nothing_and_replicas_agree,
    runs::implicit_runs_open_once_and_end_by_idleness,
    run_rows::open_runs_of_an_owner_are_limited,
    run_rows::runs_are_listed_by_filter_newest_first,
    run_rows::old_runs_go_with_their_rows,
    feedback::feedback_is_stamped_listed_and_resolved,
    feedback::feedback_belongs_to_its_organisation,
    feedback::feedback_is_limited_and_pruned_by_age,
    behaviour::organisations_do_not_see_each_other,
    behaviour::mirrored_organisations_stay_untouched,
    behaviour::probes_are_kept_per_endpoint,
    behaviour::every_change_moves_its_counter,
    behaviour::every_table_has_a_tenant_or_is_the_platforms,
    behaviour::a_closed_store_says_so,
    event_index::rows_are_listed_by_organisation_and_filter,
    event_index::hostile_texts_cannot_forge_lines_or_break_the_batch,
    event_index::an_index_that_cannot_follow_closes_the_gate,
    event_index::rows_that_did_not_reach_the_index_are_rebuilt,
    migrations::concurrent_migrations_agree,
    migrations::aborted_openings_leave_a_usable_database,
    migrations::newer_older_and_edited_schemas_are_refused,
}
