//! Tasks that are made by the clock.
//!
//! Every node looks for schedules that are due and fires them; the store lets one of them do it, together with setting the
//! next time, so any number of nodes make each task once. A node that dies in the middle leaves the schedule due for the
//! others. Nothing fires before its time by the store's clock. What went by while no node ran is dealt with as each
//! schedule says.

mod due;
mod expression;
mod firing;

pub use expression::{Expression, ExpressionError};
pub use firing::{draft, start};
