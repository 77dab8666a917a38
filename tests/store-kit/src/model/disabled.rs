//! Rules that can be disabled one at a time, to show that the exploration notices.

/// A rule that is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(test), expect(dead_code, reason = "rules are broken in tests of the model only"))]
pub(crate) enum DisabledRule {
    /// The fence of a write is not checked.
    Fence,
    /// Only the token of a fence is checked, not its epoch.
    Epoch,
    /// Only the epoch of a fence is checked, not its token.
    Token,
    /// All claims of a turn get the same fence.
    FreshFence,
    /// A repeated write is written again.
    OperationNumber,
    /// A settle that is repeated after the run is gone is not recognised.
    SettleToken,
    /// A settle is recognised by its number alone, whichever run sends it.
    SettleNumberPerRun,
    /// A failed attempt is retried although a cancel was requested.
    CancelAtRetry,
    /// A task parks although a cancel was requested.
    CancelAtPark,
    /// A released run is offered again although a cancel was requested.
    CancelAtRelease,
    /// The run of a lost worker is offered again although a cancel was requested.
    CancelAtLoss,
    /// A task parks past an unread message.
    UnreadAtPark,
    /// An end past an unread message is handed back every time.
    HandedBackOnce,
    /// A message to a parked task does not queue it again.
    WakeOffers,
    /// A worker is forgotten before its runs are offered again.
    LossOffers,
    /// A forced cancel leaves the run in the queue.
    ForcedCancelDequeues,
    /// An ended task accepts a message.
    EndIsFinal,
    /// A run that a worker holds is claimed by another one.
    OneHolder,
    /// Losses are not counted.
    LossesCount,
    /// A worker releases a run that it does not know, while the answer to its own claim is in
    /// flight.
    WaitsForOwnClaim,
}
