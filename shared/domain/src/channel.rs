//! Signal channels: the notification channel of each task, derived from its id.
//!
//! A node creates its tasks' ids in one channel and listens to the channels of the tasks that it
//! follows. It therefore receives signals for the tasks that it serves and few others, whatever the
//! number of nodes. A writer reads the channel from the task's id and needs no lookup.

use crate::TaskId;
use uuid::Uuid;

/// Number of channels. With sixteen nodes, two share one in about 10 % of deployments; each then
/// receives the other's signals too.
pub const SIGNAL_CHANNELS: u16 = 1 << CHANNEL_BITS;

/// Number of the last, random bits of a task id that name its channel.
const CHANNEL_BITS: u32 = 10;

/// The signal channel of a task: the last ten bits of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalChannel(u16);

impl SignalChannel {
    /// The channel that signals of a task are sent to.
    pub fn for_task(task: TaskId) -> Self {
        Self::from_bits(task.uuid().as_u128())
    }

    /// Picks a channel from random bits.
    pub fn from_bits(bits: u128) -> Self {
        // The remainder is below 1,024 and always fits.
        Self(u16::try_from(bits % u128::from(SIGNAL_CHANNELS)).unwrap_or_default())
    }

    /// Moves a time-ordered id into this channel. Ascending ids stay ascending: the last ten bits
    /// are replaced.
    pub fn task_id(self, id: Uuid) -> TaskId {
        let bits = id.as_u128();
        // Clear the last bits, then set them: timestamp, version and variant stay as they were.
        let others = bits - bits % u128::from(SIGNAL_CHANNELS);
        TaskId::new(Uuid::from_u128(others | u128::from(self.0)))
    }

    /// The number of the channel, below [`SIGNAL_CHANNELS`].
    pub const fn number(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_of_a_channel_names_that_channel_and_keeps_its_time() {
        for bits in [0, 1, 1_023, 1_024, u128::MAX] {
            let channel = SignalChannel::from_bits(bits);
            let made = Uuid::from_u128(0x0193_7d2a_0000_7abc_8def_0123_4567_89ab);
            let task = channel.task_id(made);
            assert_eq!(SignalChannel::for_task(task), channel);
            assert!(channel.number() < SIGNAL_CHANNELS);
            assert_eq!(task.uuid().get_version_num(), 7);
            assert_eq!(task.uuid().as_u128() >> CHANNEL_BITS, made.as_u128() >> CHANNEL_BITS);
        }
    }
}
