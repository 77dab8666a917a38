//! What it costs to read what clients send and servers answer, and to write it. Run with `cargo bench -p longhaul-wire`; a word behind `--` picks cases by name.
//!
//! The figures steer work on this crate only; no test depends on them.

mod cases;
mod samples;

use criterion::{Criterion, Throughput};
use std::time::Duration;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    for case in cases::all() {
        let mut group = criterion.benchmark_group(case.group);
        group.throughput(Throughput::Bytes(case.bytes));
        group.bench_function(case.name, |bencher| bencher.iter(&case.run));
        group.finish();
    }
    criterion.final_summary();
}
