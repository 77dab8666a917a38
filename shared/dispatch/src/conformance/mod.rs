//! What every dispatcher promises, as tests that run against any of them.
//!
//! Each promise gets a dispatcher of its own, whose queues nobody else uses. Every wait has a limit; "receives nothing" is
//! shown by somebody else receiving it.

use crate::Dispatch;

mod promises;
pub mod support;

/// Checks all promises; `make` gives a fresh dispatcher for each. Panics with a sentence when one is broken.
pub async fn run<D: Dispatch>(mut make: impl AsyncFnMut() -> D) {
    promises::a_wake_up_goes_to_exactly_one_of_two_sources(&make().await).await;
    promises::the_trace_travels_along(&make().await).await;
    promises::what_a_dropped_source_held_goes_to_another(&make().await).await;
    promises::what_is_not_acknowledged_comes_again(&make().await).await;
    promises::a_paused_source_hands_back_and_receives_nothing(&make().await).await;
    promises::a_resumed_source_receives_again(&make().await).await;
    promises::a_source_can_leave_some_of_its_agents_to_others(&make().await).await;
    promises::wake_ups_for_other_agents_are_not_seen(&make().await).await;
    promises::an_abandoned_wait_loses_nothing(&make().await).await;
    promises::overflow_never_blocks(&make().await).await;
    promises::a_close_ends_sources_and_refuses_new_ones(&make().await).await;
}
