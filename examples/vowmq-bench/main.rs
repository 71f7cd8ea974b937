//! `vowmq-bench`, a load tool: `cargo run --release --example vowmq-bench -- --help`; see docs/BENCHMARKS.md.
mod tool;

fn main() -> std::process::ExitCode {
    tool::main()
}
