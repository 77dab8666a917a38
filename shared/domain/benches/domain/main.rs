//! Benchmarks of folding a task's log, encoding its entries, and ids.
//!
//! Run with `cargo bench -p longhaul-domain`; a word after `--` filters cases by name. No test
//! depends on the figures.

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
        group.throughput(Throughput::Elements(case.elements));
        group.bench_function(&case.name, |bencher| bencher.iter(&case.run));
        group.finish();
    }
    criterion.final_summary();
}
