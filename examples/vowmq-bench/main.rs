//! `vowmq-bench`, a load tool: `cargo run --release --example vowmq-bench -- --help`; see docs/BENCHMARKS.md.
mod tool;

use std::process::ExitCode;

fn main() -> ExitCode {
    match tool::run(std::env::args_os()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
