//! Benchmarks of reading and writing JSON. Run with `cargo bench -p longhaul-wire`; a word after
//! `--` filters by name. The results guide work on this crate; no test depends on them.

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
