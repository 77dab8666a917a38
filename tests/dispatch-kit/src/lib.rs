//! The conformance suite of dispatchers, for the tests of any implementation.
//!
//! Each promise gets a fresh dispatcher with queues of its own. Every wait has a limit; "receives
//! nothing" is shown by another source that receives the hint.

use longhaul_dispatch::Dispatch;

mod promises;
pub mod support;

/// Checks all promises; `make` creates a fresh dispatcher for each. Panics when one is broken.
pub async fn check_dispatcher<D: Dispatch>(mut make: impl AsyncFnMut() -> D) {
    promises::a_hint_goes_to_exactly_one_of_two_sources(&make().await).await;
    promises::the_trace_travels_along(&make().await).await;
    promises::hints_of_a_dropped_source_go_to_another(&make().await).await;
    promises::an_unacknowledged_hint_is_delivered_again(&make().await).await;
    promises::a_paused_source_requeues_and_receives_nothing(&make().await).await;
    promises::a_resumed_source_receives_again(&make().await).await;
    promises::a_source_can_leave_some_of_its_agents_to_others(&make().await).await;
    promises::hints_for_other_agents_are_not_received(&make().await).await;
    promises::an_abandoned_wait_loses_nothing(&make().await).await;
    promises::overflow_never_blocks(&make().await).await;
    promises::a_close_ends_sources_and_rejects_new_ones(&make().await).await;
}
