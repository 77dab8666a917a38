//! Load on a stack: blocking sends of `echo` and streams of `script`, with every answer checked.

mod closed;
mod ids;
mod open;
mod paced;
mod stream;

pub use closed::{ClosedLoop, ClosedLoopResult};
pub use ids::next_number;
pub use open::OpenLoop;
pub use paced::{MeasuredWindow, PacedStream, PacedStreamResult};
pub use stream::{StreamResult, stream};
