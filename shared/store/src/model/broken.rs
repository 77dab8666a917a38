//! Rules that can be broken, one at a time, to see that somebody notices.

/// A rule that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(test), expect(dead_code, reason = "rules are broken in tests of the model only"))]
pub(crate) enum Broken {
    /// The fence of a write is not looked at.
    Fence,
    /// Of the fence only the token is looked at.
    Epoch,
    /// Of the fence only the epoch is looked at.
    Token,
    /// Every claim of a turn gives the same fence.
    FreshFence,
    /// A write that comes again is written again.
    OperationNumber,
    /// A settle that comes again after the run is gone is not recognised.
    SettleToken,
    /// A settle is recognised by its number, whoever sends it.
    SettleOfThisRun,
    /// A failed attempt is followed by the next one, although the task is to be canceled.
    CancelAtRetry,
    /// A task parks, although it is to be canceled.
    CancelAtPark,
    /// A run that is given back is offered again, although it is to be canceled.
    CancelAtRelease,
    /// The run of a lost worker is offered again, although it is to be canceled.
    CancelAtLoss,
    /// A task parks past a message that nobody has read.
    UnreadAtPark,
    /// An end past an unread message is handed back every time.
    HandedBackOnce,
    /// A message to a parked task does not offer it again.
    WakeOffers,
    /// A worker is forgotten before its runs are offered again.
    LossOffers,
    /// A cancel by force does not take the run off the queue.
    ForceTakesOff,
    /// A message is taken for a task that has ended.
    EndIsFinal,
    /// A run that a worker holds is handed to another one.
    OneHolder,
    /// Losses are not counted.
    LossesCount,
    /// A worker gives back what it does not know of while the answer to a claim of its own is on its way.
    KnowsBeforeGivingBack,
}
