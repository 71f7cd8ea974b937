//! Smaller programs, in less memory, where the linker can make them.
use std::path::{Path, PathBuf};
use std::process::Command;

/// Functions whose code is the same are kept once, and what the loader has to relocate is written down in an eighth of the
/// space. The second needs a C library that knows it (glibc 2.36), and both a linker that does.
const SMALLER: [&str; 2] = ["-Wl,--icf=all", "-Wl,-z,pack-relative-relocs"];

/// Functions that every broker runs, side by side: the kernel maps a program in pieces of 64 KiB around what is run, and most
/// of this one never is. Made by `packaging/order-functions`; a name that is not there any more orders nothing, and does no
/// harm.
const ORDER: &str = "packaging/function-order.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let is_native = variable("HOST") == variable("TARGET");
    let is_glibc = variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu";
    // A debug build is linked often, and nobody minds its size.
    if variable("PROFILE") != "release" || !is_native || !is_glibc {
        return;
    }
    let out_dir = PathBuf::from(variable("OUT_DIR"));
    let mut wanted = SMALLER.map(str::to_owned).to_vec();
    println!("cargo::rerun-if-changed={ORDER}");
    let order = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join(ORDER);
    // A comma would end the argument.
    if let Some(order) = order.to_str().filter(|path| !path.contains(',') && Path::new(path).exists()) {
        wanted.push(format!("-Wl,--no-warn-symbol-ordering,--symbol-ordering-file={order}"));
    }
    for argument in wanted.iter().filter(|argument| links_and_runs(argument, &out_dir)) {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}

/// Whether an empty program is linked with `argument`, by the linker and the flags this build is made with, and starts.
fn links_and_runs(argument: &str, out_dir: &Path) -> bool {
    let (source, program) = (out_dir.join("empty.rs"), out_dir.join("empty"));
    let Some(rustc) = std::env::var_os("RUSTC") else { return false };
    if std::fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut compiler = Command::new(rustc);
    compiler.arg(&source).arg("-o").arg(&program).arg(format!("-Clink-arg={argument}"));
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={linker}"));
    }
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    compiler.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    let is_linked = compiler.output().is_ok_and(|output| output.status.success());
    is_linked && Command::new(&program).output().is_ok_and(|output| output.status.success())
}
