//! The sources as text, for the tests about the code itself: which files there are, which part of each is tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below a directory of this package, in a fixed order.
pub fn rust_files(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut found);
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
        let path = entry.expect("a directory being read stays there").path();
        if path.is_dir() && !path.ends_with("node_modules") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file's text in two parts: what is compiled into the broker, and what is only there for tests.
pub fn split(path: &Path) -> (String, String) {
    let text = read(path);
    if test_only(path) {
        return (String::new(), text);
    }
    let (mut code, mut tests) = (String::new(), String::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.trim_start().starts_with("#[cfg(test)]") {
            code.extend([line, "\n"]);
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let mut item_begun = false;
        for line in lines.by_ref() {
            tests.extend([line, "\n"]);
            let begins = !item_begun && !line.trim_start().starts_with("#[");
            item_begun |= begins;
            if line.starts_with(&closing) || (begins && line.ends_with([';', ',', '}'])) {
                break;
            }
        }
    }
    (code, tests)
}

/// Is this file a module, or inside a module, that its parent declares under `#[cfg(test)]`?
fn test_only(path: &Path) -> bool {
    let is_root = |path: &Path| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    if is_root(path) {
        return false;
    }
    let directory = path.parent().expect("a source file is in a directory");
    let (name, home) = if path.ends_with("mod.rs") {
        (directory.file_name(), directory.parent().expect("modules live below src"))
    } else {
        (path.file_stem(), directory)
    };
    let name = name.and_then(|name| name.to_str()).expect("source files have plain names");
    let parents = [home.join("lib.rs"), home.join("mod.rs"), home.with_extension("rs")];
    let Some(parent) = parents.iter().find(|parent| parent.is_file()) else { return false };
    let text = read(parent);
    let mut lines = text.lines().map(str::trim);
    let mut previous = "";
    lines.any(|line| {
        let declares =
            line.strip_suffix(';').and_then(|line| line.rsplit_once("mod ")).is_some_and(|(_, it)| it == name);
        let gated = previous == "#[cfg(test)]";
        previous = line;
        declares && gated
    }) || test_only(parent)
}
