//! What it costs to bring one event to all who follow a task. Making its bytes is paid once, the rest by each reader.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use longhaul_api::bench::Readers;

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    for bytes in [100, 10_000] {
        let text = "x".repeat(bytes);
        for readers in [1, 100, 1_000, 5_000] {
            group.throughput(Throughput::Elements(readers));
            let id = BenchmarkId::new(format!("{bytes} bytes"), readers);
            let mut all = Readers::new(usize::try_from(readers).unwrap_or(usize::MAX));
            group.bench_function(id, |bencher| bencher.iter(|| all.publish(&text)));
        }
    }
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
