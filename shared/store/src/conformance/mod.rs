//! What every store must do, as tests that run on any of them.
//!
//! A crate with a store calls [`conformance_tests!`](crate::conformance_tests) with an expression that gives a
//! [`Fixture`]: a migrated, empty store. Each case gets a store of its own. Times are the store's, so cases use short
//! delays and poll until what must happen has happened; no case relies on how long anything takes.

pub mod append;
pub mod blobs;
pub mod cancel;
pub mod checkpoints;
pub mod claim;
pub mod dead;
pub mod deadline;
pub mod dedupe;
pub mod fairness;
pub mod fold;
pub mod intake;
pub mod isolation;
pub mod keys;
mod kit;
pub mod limits;
pub mod listing;
pub mod operating;
pub mod park_wake;
pub mod pinning;
pub mod poison;
pub mod reading;
pub mod reap;
pub mod registry;
pub mod room;
pub mod schedules;
pub mod settle;
pub mod signals;
pub mod walk;

pub use kit::Fixture;

/// Makes a test of every case. The expression is evaluated in an async context, once per test, and gives a
/// [`Fixture`].
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
            a_run_cannot_speak_for_the_client
        ]);
        $crate::conformance_module!($fixture, blobs, [
            blobs_of_every_write_come_back
            the_same_blob_may_come_many_times
            a_large_part_stands_by_reference_in_the_log
            a_repeated_message_with_a_blob_is_a_duplicate
        ]);
        $crate::conformance_module!($fixture, cancel, [
            a_queued_task_is_canceled_at_once
            a_task_that_waits_for_its_next_attempt_is_canceled_at_once
            a_running_executor_is_asked_to_stop
            an_executor_that_was_faster_than_the_cancel_completes
            a_run_that_was_asked_to_stop_ends_instead_of_going_on
            a_cancel_that_is_not_obeyed_is_done_by_force
            cancel_of_a_task_whose_worker_is_dead_ends_it
            an_unknown_task_cannot_be_canceled
            cancel_and_end_have_one_winner
            force_and_end_have_one_winner
        ]);
        $crate::conformance_module!($fixture, checkpoints, [
            a_checkpoint_is_there_for_the_next_attempt
            a_checkpoint_and_its_output_are_there_or_both_are_not
            a_checkpoint_needs_no_output
            a_later_checkpoint_of_a_name_takes_its_place
            a_settle_keeps_its_checkpoints_however_the_run_ends
            an_end_that_is_handed_back_keeps_its_checkpoints
            checkpoints_belong_to_their_task_and_outlive_its_turns
        ]);
        $crate::conformance_module!($fixture, claim, [
            a_claim_brings_what_the_run_needs
            runs_go_by_priority_and_then_by_age
            a_claim_takes_no_more_than_slots_and_limit_allow
            a_delayed_task_waits_for_its_time
            each_run_goes_to_one_worker
            a_worker_without_a_lease_gets_nothing
            a_claim_brings_facts_and_the_history_comes_page_by_page
            a_page_of_history_ends_where_its_bytes_end
            a_first_message_that_is_large_does_not_come_along
            a_claim_after_an_attempt_tells_what_the_agent_had_said
            the_metadata_of_the_last_request_is_found_however_long_ago
        ]);
        $crate::conformance_module!($fixture, dead, [
            a_failure_is_listed_with_what_is_known_of_it
            a_failure_without_a_reason_is_fatal
            what_did_not_fail_is_not_dead
            the_list_of_the_dead_is_filtered
            the_dead_are_listed_latest_first_page_by_page
            a_redriven_task_begins_again_as_a_new_one
            a_dead_task_is_redriven_once_by_two
            a_dismissed_letter_is_off_the_list
            dismiss_and_redrive_have_one_winner
            a_stranger_finds_no_dead_letter
            a_task_that_was_redriven_can_die_again
        ]);
        $crate::conformance_module!($fixture, deadline, [
            a_deadline_ends_a_queued_task
            a_deadline_ends_a_task_before_its_time_has_come
            a_deadline_ends_a_task_that_waits_for_its_next_attempt
            a_deadline_ends_a_parked_task
            a_deadline_ends_a_task_that_was_held_back
            a_task_past_its_deadline_is_handed_to_nobody
            a_worker_past_the_deadline_has_a_grace_and_then_is_cut_off
            deadline_and_end_have_one_winner
            a_task_that_has_ended_has_no_deadline
            a_task_that_nobody_starts_in_time_fails
            a_task_that_was_started_has_no_queue_timeout_any_more
            time_in_the_queue_begins_when_a_task_is_runnable
            time_in_the_queue_begins_again_at_a_wake
            a_task_before_its_time_is_canceled_at_once
            of_delay_and_not_before_the_later_counts
            what_has_become_due_is_said_once
            a_reaper_knows_when_to_look_again
        ]);
        $crate::conformance_module!($fixture, dedupe, [
            the_same_message_again_attaches_to_its_task
            the_same_message_again_attaches_also_when_the_task_has_ended
            the_same_message_twenty_times_at_once_makes_one_task
            an_idempotency_key_with_other_content_is_refused
            the_same_message_of_two_owners_is_two_messages
            a_repeated_follow_up_is_appended_once
            a_repeated_answer_wakes_once
            a_message_sent_again_to_another_task_names_where_it_went
        ]);
        $crate::conformance_module!($fixture, fairness, [
            one_owners_backlog_does_not_delay_anothers_task
            owners_take_turns_one_by_one
            a_claim_of_many_is_shared_out_evenly
            what_others_leave_is_used
            a_priority_counts_among_the_tasks_of_one_owner_only
            many_owners_each_get_their_turn
        ]);
        $crate::conformance_module!($fixture, fold, [
            a_snapshot_is_the_fold_of_the_log_at_every_place
            a_snapshot_read_while_the_log_grows_is_whole
            a_status_never_goes_back_in_time
        ]);
        $crate::conformance_module!($fixture, intake, [
            an_accepted_task_is_there_with_its_message
            many_tasks_are_accepted_at_once
            a_refused_task_fails_alone
            a_follow_up_is_appended_to_a_queued_task
            a_follow_up_beyond_the_budget_of_its_task_is_refused
            follow_ups_at_once_are_all_appended
            a_follow_up_to_an_unknown_task_is_not_found
            a_follow_up_to_an_ended_task_is_refused_by_name
            text_of_any_kind_comes_back_as_it_was
        ]);
        $crate::conformance_module!($fixture, isolation, [
            a_stranger_reads_nothing
            a_stranger_writes_nothing
            two_owners_may_use_the_same_task_id
        ]);
        $crate::conformance_module!($fixture, keys, [
            a_key_opens_for_its_owner_with_its_scopes
            a_revoked_key_opens_nothing
            keys_are_listed_of_one_owner_or_all
            a_key_id_is_given_once
            the_owner_of_a_store_without_authentication_is_there
            a_migrated_store_answers_its_check
        ]);
        $crate::conformance_module!($fixture, limits, [
            an_agent_at_its_limit_gets_no_more
            an_owner_at_its_limit_leaves_room_for_others
            tasks_of_one_key_run_one_after_the_other
            a_key_is_free_again_however_its_run_goes_away
            a_run_that_is_given_back_shares_its_key_with_those_that_wait
            keys_of_two_owners_do_not_meet
            of_many_claims_at_once_none_passes_a_limit
            a_key_is_never_used_by_more_than_its_limit
            what_is_held_back_does_not_hide_what_stands_behind
            a_task_that_is_held_back_is_canceled_at_once
        ]);
        $crate::conformance_module!($fixture, listing, [
            pages_follow_one_another_in_order
            a_full_last_page_has_no_next
            filters_apply_together
            a_time_filter_includes_its_moment
            a_list_shows_every_task_that_did_not_change_once
            a_list_holds_what_a_read_would
        ]);
        $crate::conformance_module!($fixture, operating, [
            facts_tell_how_a_task_is_run
            facts_of_a_task_that_waits_or_never_ran
            facts_of_others_are_left_out
            the_depth_of_a_queue_is_counted_up_to_a_limit
            queues_tell_what_waits_and_what_runs
            workers_are_listed_with_what_they_hold
            a_worker_learns_what_it_holds_by_the_books
            a_run_that_its_worker_does_not_know_of_can_be_given_back
            a_worker_may_be_made_known_again
        ]);
        $crate::conformance_module!($fixture, park_wake, [
            a_parked_task_is_offered_to_nobody
            an_answer_wakes_a_parked_task
            answers_at_once_wake_once
            an_old_run_cannot_write_after_the_wake
            a_task_can_park_turn_after_turn
            a_failed_attempt_of_a_later_turn_keeps_the_turn
            a_parked_task_is_canceled_at_once
        ]);
        $crate::conformance_module!($fixture, pinning, [
            a_pinned_task_stays_with_the_version_that_ran_it
            a_pin_outlives_a_park
            a_task_of_another_version_does_not_hide_those_behind
            who_does_not_pin_takes_any_run_and_marks_none
        ]);
        $crate::conformance_module!($fixture, poison, [
            a_task_that_kills_its_workers_is_quarantined
            a_checkpoint_begins_the_count_of_losses_anew
            a_run_that_settles_begins_the_count_of_losses_anew
            workers_that_go_in_good_order_are_no_losses
            one_poisonous_task_does_not_harm_those_beside_it
            those_who_are_lost_together_are_told_apart
        ]);
        $crate::conformance_module!($fixture, reading, [
            what_is_not_there_is_none
            a_log_is_read_page_by_page_also_after_the_end
            a_page_is_bounded_in_bytes_but_never_empty
            many_logs_are_read_at_once_where_they_have_grown
            a_snapshot_holds_what_was_asked_for
            an_artifact_is_what_its_last_beginning_and_what_followed_made
            an_artifact_of_an_earlier_write_goes_on
            a_question_stands_before_its_answer
        ]);
        $crate::conformance_module!($fixture, reap, [
            the_runs_of_a_lost_worker_are_offered_again
            a_lost_worker_cannot_write
            a_worker_that_renews_keeps_its_runs
            an_unknown_worker_is_lost
            a_retired_worker_leaves_its_runs_to_others_at_once
            any_number_of_reapers_offer_each_run_once
            lost_runs_keep_their_place_behind_none
        ]);
        $crate::conformance_module!($fixture, room, [
            what_has_room_is_read_whole
            artifacts_without_room_are_refused
            what_was_replaced_takes_no_room
            the_oldest_messages_give_way
            nothing_is_left_out_of_a_whole
            a_page_shares_its_room
        ]);
        $crate::conformance_module!($fixture, registry, [
            registered_agents_are_listed_by_name
            the_highest_version_of_an_agent_shows
            the_same_version_again_replaces_the_description
            an_agent_stays_when_its_workers_leave
        ]);
        $crate::conformance_module!($fixture, schedules, [
            a_schedule_comes_back_as_it_was_put
            a_change_keeps_what_a_schedule_made_last
            schedules_are_listed_by_owner_and_name
            a_deleted_schedule_is_gone_and_its_tasks_stay
            what_is_due_is_found_longest_overdue_first
            a_fire_makes_its_task_and_moves_on
            of_two_nodes_that_fire_a_schedule_one_does
            a_time_that_is_left_out_makes_no_task
            a_fire_of_what_has_changed_does_nothing
            a_task_that_was_made_before_counts_as_fired
        ]);
        $crate::conformance_module!($fixture, settle, [
            a_task_ends_with_its_final_status
            a_repeated_settle_answers_that_it_is_done
            a_repeated_settle_is_known_when_the_next_run_has_written
            a_settled_run_cannot_write_again
            a_retry_counts_an_attempt_and_waits
            a_release_counts_no_attempt
            a_release_keeps_what_it_brings
            an_end_with_an_unread_message_is_handed_back_once
            a_park_with_an_unread_message_is_always_handed_back
            a_message_that_was_read_hands_nothing_back
            a_settle_that_does_not_fit_is_refused
            a_task_that_was_not_begun_can_fail
            an_ended_task_is_never_offered_again
        ]);
        $crate::conformance_module!($fixture, signals, [
            a_log_that_grows_is_signalled
            a_running_task_that_is_canceled_is_signalled
            a_message_to_a_running_task_is_signalled
            what_is_announced_is_signalled_to_every_worker
        ]);
        $crate::conformance_module!($fixture, walk, [
            a_store_and_its_model_agree_on_every_step
        ]);
    };
}

/// One module of tests; only for [`conformance_tests!`](crate::conformance_tests).
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_module {
    ($fixture:expr, $module:ident, [$($case:ident)*]) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let fixture: $crate::conformance::Fixture = $fixture;
                    let store = ::std::sync::Arc::clone(&fixture.store);
                    $crate::conformance::$module::$case(store).await;
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
        let list = include_str!("mod.rs");
        let files = [
            include_str!("append.rs"),
            include_str!("blobs.rs"),
            include_str!("cancel.rs"),
            include_str!("checkpoints.rs"),
            include_str!("claim.rs"),
            include_str!("dead.rs"),
            include_str!("deadline.rs"),
            include_str!("dedupe.rs"),
            include_str!("fairness.rs"),
            include_str!("fold.rs"),
            include_str!("intake.rs"),
            include_str!("isolation.rs"),
            include_str!("keys.rs"),
            include_str!("limits.rs"),
            include_str!("listing.rs"),
            include_str!("operating.rs"),
            include_str!("park_wake.rs"),
            include_str!("pinning.rs"),
            include_str!("poison.rs"),
            include_str!("reading.rs"),
            include_str!("reap.rs"),
            include_str!("registry.rs"),
            include_str!("schedules.rs"),
            include_str!("settle.rs"),
            include_str!("signals.rs"),
            include_str!("walk.rs"),
        ];
        for file in files {
            let cases = file.lines().filter_map(|line| line.strip_prefix("pub async fn "));
            for case in cases.filter_map(|line| line.split('(').next()) {
                assert!(list.lines().any(|line| line.trim() == case), "{case} is not in the list");
            }
        }
    }
}
