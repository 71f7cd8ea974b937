//! Times of the paths that every message takes: `cargo bench --bench micro`.
mod paths;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, path) in paths::PATHS {
        let directory = tempfile::tempdir().expect("a directory for the log");
        let mut go = path(directory.path());
        criterion.bench_function(name, |bencher| bencher.iter(&mut go));
    }
    criterion.final_summary();
}
