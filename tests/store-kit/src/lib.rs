//! The conformance suite: every store must pass these tests.
//!
//! A crate with a store calls [`conformance_tests!`](crate::conformance_tests) with an expression
//! that returns a [`Fixture`]: a migrated, empty store. Each case gets its own store. Times are the
//! store's, so cases use short delays and poll until the expected change has happened; no case
//! depends on how long anything takes.

#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "these are tests: the name of a case says what it checks, and it fails by panicking"
)]

pub mod cases;
mod kit;
mod model;

pub use kit::Fixture;

/// Defines a test for each case. The expression is evaluated in an async context, once per test,
/// and returns a [`Fixture`].
#[macro_export]
macro_rules! conformance_tests {
    ($fixture:expr) => {
        $crate::conformance_module!($fixture, append, [
            output_continues_the_log
            a_repeated_append_is_written_once
            the_same_append_many_times_at_once_is_written_once
            output_with_a_wrong_fence_is_refused
            output_after_the_end_is_refused_by_name
            an_illegal_status_is_refused_alone
            many_tasks_write_at_once_without_gaps
            a_run_cannot_write_client_messages
        ]);
        $crate::conformance_module!($fixture, blobs, [
            blobs_of_every_write_come_back
            the_same_blob_may_come_many_times
            a_large_part_is_in_the_log_by_reference
            a_repeated_message_with_a_blob_is_a_duplicate
        ]);
        $crate::conformance_module!($fixture, cancel, [
            a_queued_task_is_canceled_at_once
            a_task_that_waits_for_its_next_attempt_is_canceled_at_once
            a_running_executor_is_asked_to_stop
            an_executor_that_was_faster_than_the_cancel_completes
            a_run_with_a_cancel_request_ends_instead_of_continuing
            an_ignored_cancel_is_forced
            cancel_of_a_task_whose_worker_is_dead_ends_it
            an_unknown_task_cannot_be_canceled
            a_cancel_and_an_end_have_one_winner
            a_forced_cancel_and_an_end_have_one_winner
        ]);
        $crate::conformance_module!($fixture, checkpoints, [
            a_checkpoint_is_there_for_the_next_attempt
            a_checkpoint_and_its_output_are_committed_together
            a_checkpoint_needs_no_output
            a_later_checkpoint_replaces_an_earlier_one_of_its_name
            a_settle_keeps_its_checkpoints_however_the_run_ends
            an_end_that_is_handed_back_keeps_its_checkpoints
            checkpoints_belong_to_their_task_and_outlive_its_turns
        ]);
        $crate::conformance_module!($fixture, claim, [
            a_claim_returns_what_the_run_needs
            runs_are_claimed_by_priority_and_then_by_age
            a_claim_takes_no_more_than_slots_and_limit_allow
            a_delayed_task_waits_for_its_time
            each_run_goes_to_one_worker
            a_worker_without_a_lease_gets_nothing
            a_claim_is_bounded_and_history_is_read_by_page
            a_history_page_is_bounded_in_bytes
            a_large_first_message_is_not_part_of_the_claim
            a_claim_after_an_attempt_tells_what_the_agent_had_said
            the_metadata_of_the_last_request_is_found_however_long_ago
        ]);
        $crate::conformance_module!($fixture, dead, [
            a_failure_is_listed_with_its_details
            a_failure_without_a_reason_is_fatal
            a_task_that_did_not_fail_is_not_a_dead_letter
            dead_letters_are_filtered
            dead_letters_are_listed_newest_first_by_page
            a_redrive_creates_a_new_task
            concurrent_redrives_create_one_task
            a_dismissed_letter_is_no_longer_listed
            dismiss_and_redrive_have_one_winner
            another_owner_finds_no_dead_letter
            a_task_that_was_redriven_can_die_again
        ]);
        $crate::conformance_module!($fixture, deadline, [
            a_deadline_ends_a_queued_task
            a_deadline_ends_a_delayed_task
            a_deadline_ends_a_task_that_waits_for_its_next_attempt
            a_deadline_ends_a_parked_task
            a_deadline_ends_a_task_that_was_held_back
            a_task_past_its_deadline_is_not_claimed
            a_worker_past_the_deadline_is_cut_off_after_a_grace
            deadline_and_end_have_one_winner
            a_task_that_has_ended_has_no_deadline
            a_task_that_is_not_claimed_in_time_fails
            a_claimed_task_has_no_queue_timeout
            the_queue_timeout_starts_when_a_task_is_runnable
            the_queue_timeout_restarts_at_a_wake
            a_delayed_task_is_canceled_at_once
            the_later_of_delay_and_not_before_counts
            a_due_run_is_reported_once
            a_reap_says_when_the_next_one_is_due
        ]);
        $crate::conformance_module!($fixture, dedupe, [
            the_same_message_again_attaches_to_its_task
            the_same_message_again_attaches_also_when_the_task_has_ended
            twenty_concurrent_copies_of_a_message_create_one_task
            an_idempotency_key_with_other_content_is_refused
            the_same_message_of_two_owners_is_two_messages
            a_repeated_follow_up_is_appended_once
            a_repeated_answer_wakes_once
            a_message_repeated_to_another_task_names_its_first_task
            a_message_is_found_by_its_key
        ]);
        $crate::conformance_module!($fixture, fairness, [
            one_owners_backlog_does_not_delay_anothers_task
            owners_take_turns_one_by_one
            a_large_claim_is_shared_evenly
            capacity_left_by_others_is_used
            a_priority_counts_among_the_tasks_of_one_owner_only
            many_owners_each_get_their_turn
        ]);
        $crate::conformance_module!($fixture, fold, [
            a_snapshot_is_the_fold_of_the_log_at_every_place
            a_snapshot_read_while_the_log_grows_is_consistent
            a_status_never_goes_back_in_time
        ]);
        $crate::conformance_module!($fixture, intake, [
            an_accepted_task_is_there_with_its_message
            many_tasks_are_accepted_at_once
            a_task_whose_id_is_taken_is_named_and_fails_alone
            of_two_messages_for_one_task_id_one_creates_it
            a_follow_up_is_appended_to_a_queued_task
            a_follow_up_beyond_the_budget_of_its_task_is_refused
            concurrent_follow_ups_are_all_appended
            a_follow_up_to_an_unknown_task_is_not_found
            a_follow_up_to_an_ended_task_is_refused_by_name
            any_text_is_read_back_unchanged
        ]);
        $crate::conformance_module!($fixture, isolation, [
            another_owner_reads_nothing
            another_owner_writes_nothing
            two_owners_may_use_the_same_task_id
        ]);
        $crate::conformance_module!($fixture, keys, [
            a_key_authenticates_its_owner_with_its_scopes
            a_revoked_key_is_rejected
            keys_are_listed_by_owner_or_all
            a_key_id_is_unique
            a_store_without_authentication_has_a_local_owner
            a_migrated_store_answers_its_check
        ]);
        $crate::conformance_module!($fixture, limits, [
            an_agent_at_its_limit_gets_no_more
            an_owner_at_its_limit_leaves_room_for_others
            tasks_of_one_key_run_one_after_the_other
            a_key_is_freed_however_its_run_ends
            a_released_run_shares_its_key_with_waiting_runs
            keys_of_two_owners_are_separate
            concurrent_claims_stay_within_limits
            a_key_is_never_used_by_more_than_its_limit
            held_back_runs_do_not_hide_later_runs
            a_task_that_is_held_back_is_canceled_at_once
        ]);
        $crate::conformance_module!($fixture, listing, [
            pages_follow_one_another_in_order
            a_full_last_page_has_no_next
            filters_apply_together
            a_time_filter_includes_its_moment
            a_list_shows_every_task_that_did_not_change_once
            a_list_returns_the_same_tasks_as_reads
        ]);
        $crate::conformance_module!($fixture, operating, [
            run_details_describe_a_task
            run_details_of_a_waiting_or_unstarted_task
            run_details_of_other_owners_are_left_out
            the_depth_of_a_queue_is_counted_up_to_a_limit
            queues_list_waiting_and_running_tasks
            workers_are_listed_with_their_runs
            a_worker_learns_its_runs_from_the_store
            a_run_unknown_to_its_worker_can_be_released
            a_worker_may_register_again
        ]);
        $crate::conformance_module!($fixture, park_wake, [
            a_parked_task_is_not_claimed
            an_answer_wakes_a_parked_task
            concurrent_answers_wake_once
            an_old_run_cannot_write_after_the_wake
            a_task_can_park_turn_after_turn
            a_failed_attempt_of_a_later_turn_keeps_the_turn
            a_parked_task_is_canceled_at_once
        ]);
        $crate::conformance_module!($fixture, pinning, [
            a_pinned_task_stays_with_the_version_that_ran_it
            a_pin_outlives_a_park
            a_task_of_another_version_does_not_hide_later_ones
            a_worker_without_a_pin_takes_any_run_and_pins_none
        ]);
        $crate::conformance_module!($fixture, poison, [
            a_task_that_kills_its_workers_is_quarantined
            a_checkpoint_resets_losses
            a_settle_resets_losses
            deregistered_workers_are_no_losses
            a_poison_task_does_not_harm_its_neighbours
            suspects_lost_together_are_separated
        ]);
        $crate::conformance_module!($fixture, reading, [
            a_missing_task_reads_as_none
            a_log_is_read_by_page_even_past_its_end
            a_page_is_bounded_in_bytes_but_never_empty
            many_logs_are_read_at_once_if_they_have_grown
            a_snapshot_contains_what_was_asked_for
            an_artifact_starts_at_its_last_beginning
            an_artifact_continues_across_writes
            a_question_precedes_its_answer
        ]);
        $crate::conformance_module!($fixture, reap, [
            the_runs_of_a_lost_worker_are_offered_again
            a_lost_worker_cannot_write
            a_worker_that_renews_keeps_its_runs
            an_unknown_worker_is_lost
            a_deregistered_worker_releases_its_runs_at_once
            any_number_of_reapers_offer_each_run_once
            lost_runs_keep_their_place_behind_none
        ]);
        $crate::conformance_module!($fixture, budget, [
            a_task_within_the_budget_is_read_completely
            artifacts_over_the_budget_are_refused
            replaced_chunks_do_not_count
            the_oldest_messages_are_left_out
            a_strict_budget_leaves_nothing_out
            a_page_shares_its_budget
        ]);
        $crate::conformance_module!($fixture, registry, [
            registered_agents_are_listed_by_name
            the_highest_version_of_an_agent_wins
            the_same_version_again_replaces_the_description
            an_agent_stays_when_its_workers_leave
        ]);
        $crate::conformance_module!($fixture, schedules, [
            a_schedule_is_read_back_unchanged
            a_change_keeps_the_last_task_of_a_schedule
            schedules_are_listed_by_owner_and_name
            a_deleted_schedule_is_gone_and_its_tasks_stay
            due_schedules_are_listed_longest_overdue_first
            firing_creates_the_task_and_sets_the_next_time
            of_two_nodes_that_fire_a_schedule_one_succeeds
            a_skipped_time_creates_no_task
            firing_an_outdated_revision_does_nothing
            a_task_that_was_created_before_counts_as_fired
        ]);
        $crate::conformance_module!($fixture, settle, [
            a_task_ends_with_its_final_status
            a_repeated_settle_is_recognised
            a_repeated_settle_is_recognised_after_the_next_run_has_written
            a_settled_run_cannot_write_again
            a_retry_counts_an_attempt_and_waits
            a_release_counts_no_attempt
            a_release_keeps_its_output
            an_end_with_an_unread_message_is_handed_back_once
            a_park_with_an_unread_message_is_always_handed_back
            a_message_that_was_read_hands_nothing_back
            a_settle_that_does_not_fit_is_refused
            an_unstarted_task_can_fail
            an_ended_task_is_never_offered_again
        ]);
        $crate::conformance_module!($fixture, signals, [
            a_log_that_grows_is_signalled
            a_running_task_that_is_canceled_is_signalled
            a_message_to_a_running_task_is_signalled
            an_announcement_is_signalled_to_every_worker
        ]);
        $crate::conformance_module!($fixture, walk, [
            a_store_and_its_model_agree_on_every_step
        ]);
    };
}

/// Defines one module of tests, for [`conformance_tests!`](crate::conformance_tests) only.
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_module {
    ($fixture:expr, $module:ident, [$($case:ident)*]) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fixture: $crate::Fixture = $fixture;
                    let store = ::std::sync::Arc::clone(&fixture.store);
                    $crate::cases::$module::$case(store).await;
                    fixture.store.close().await;
                }
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("lib.rs");
        let files = [
            include_str!("cases/append.rs"),
            include_str!("cases/blobs.rs"),
            include_str!("cases/budget.rs"),
            include_str!("cases/cancel.rs"),
            include_str!("cases/checkpoints.rs"),
            include_str!("cases/claim.rs"),
            include_str!("cases/dead.rs"),
            include_str!("cases/deadline.rs"),
            include_str!("cases/dedupe.rs"),
            include_str!("cases/fairness.rs"),
            include_str!("cases/fold.rs"),
            include_str!("cases/intake.rs"),
            include_str!("cases/isolation.rs"),
            include_str!("cases/keys.rs"),
            include_str!("cases/limits.rs"),
            include_str!("cases/listing.rs"),
            include_str!("cases/operating.rs"),
            include_str!("cases/park_wake.rs"),
            include_str!("cases/pinning.rs"),
            include_str!("cases/poison.rs"),
            include_str!("cases/reading.rs"),
            include_str!("cases/reap.rs"),
            include_str!("cases/registry.rs"),
            include_str!("cases/schedules.rs"),
            include_str!("cases/settle.rs"),
            include_str!("cases/signals.rs"),
            include_str!("cases/walk.rs"),
        ];
        for file in files {
            let cases = file.lines().filter_map(|line| line.strip_prefix("pub async fn "));
            for case in cases.filter_map(|line| line.split('(').next()) {
                assert!(list.lines().any(|line| line.trim() == case), "{case} is not in the list");
            }
        }
    }
}
