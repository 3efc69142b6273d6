//! How long the hot paths take: `cargo bench -p bench`, or with a part of a path's name behind it.

#![allow(missing_docs, clippy::unwrap_used)] // The macros make public items; a measurement, not the program.

use bench::PATHS;
use criterion::{Criterion, criterion_group, criterion_main};

fn hot(criterion: &mut Criterion) {
    for path in PATHS {
        let folder = tempfile::tempdir().unwrap();
        let mut run = (path.prepare)(folder.path()).unwrap();
        criterion.bench_function(path.name, |bencher| bencher.iter(|| run().unwrap()));
    }
}

criterion_group! {
    name = paths;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = hot
}
criterion_main!(paths);
