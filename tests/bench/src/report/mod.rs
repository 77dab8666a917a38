//! Reports: as a table, as JSON, and compared with a baseline.

mod baseline;
mod json;
mod number;
mod table;

pub use baseline::Baseline;
pub use json::BenchReport;
pub use table::print;
