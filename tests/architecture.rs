//! The house rules a machine can check: imports go down only, the lower floors stay pure, files stay short.

mod source;

use std::path::Path;

use source::{rust_files, split};

const LINES_MAX: usize = 500;

/// The floors. A module may import from lower floors and from itself; two on the same floor do not know each other.
const FLOORS: [(&str, u8); 22] = [
    ("types", 0),
    ("packet", 1),
    ("codec", 2),
    ("session", 2),
    ("routing", 2),
    ("store", 2),
    ("access", 2),
    ("abuse", 2),
    ("broker", 3),
    ("identity", 3),
    ("tls", 3),
    ("server", 4),
    ("dump", 3),
    ("data", 4),
    ("trial", 4),
    ("certs", 4),
    ("import", 4),
    ("service", 4),
    ("admin", 4),
    ("traces", 4),
    ("ctl", 5),
    ("run", 5),
];

/// Beside the floors: these may import only what is listed, and only the upper floors may import them.
const BESIDE: [(&str, &[&str]); 3] = [("config", &["types"]), ("clock", &["types"]), ("machine", &[])];
const LOWEST_FLOOR_THAT_SEES_BESIDE: u8 = 3;

/// What has no place on the floors below the broker.
const IMPURE: [&str; 8] = ["tokio", "async fn", "Mutex", "RwLock", "SystemTime", "Instant", "rand", "tracing"];
const HIGHEST_PURE_FLOOR: u8 = 2;

/// One source file of the library: its part without tests, comments taken out.
struct Source {
    path: String,
    /// The module path, `["session", "inbound"]` for src/session/inbound.rs; empty for the crate's root.
    module: Vec<String>,
    code: String,
    /// Code and tests together, for the rules that bind both.
    everything: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: std::path::PathBuf| {
        let (code, tests) = split(&path);
        let relative = path.strip_prefix(&root).expect("sources are below src").with_extension("");
        let mut module: Vec<String> =
            relative.iter().map(|part| part.to_str().expect("source files have plain names").to_owned()).collect();
        let last = module.pop().expect("a file has a name");
        if !(last == "mod" || module.is_empty() && (last == "lib" || last == "main")) {
            module.push(last);
        }
        let path = format!("src/{}", relative.with_extension("rs").display());
        let everything = without_comments(&format!("{code}{tests}"));
        Source { path, module, lines: code.lines().count(), code: without_comments(&code), everything }
    };
    let sources: Vec<Source> = rust_files("src").into_iter().map(read).collect();
    assert!(!sources.is_empty(), "there are sources to look at");
    sources
}

fn without_comments(text: &str) -> String {
    // A `//` inside a string cuts that string short, which no rule here minds.
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn may_import(importer: &str, imported: &str) -> bool {
    if importer == imported {
        return true;
    }
    if let Some((_, allowed)) = BESIDE.iter().find(|(name, _)| *name == importer) {
        return allowed.contains(&imported);
    }
    let Some(from) = floor(importer) else { return false };
    if BESIDE.iter().any(|(name, _)| *name == imported) {
        return from >= LOWEST_FLOOR_THAT_SEES_BESIDE;
    }
    floor(imported).is_some_and(|to| to < from)
}

/// Top modules of the crate that a piece of code names through `crate::` or by climbing up to the root with `super::`.
fn imported_modules(source: &Source) -> Vec<String> {
    let from_crate = source.everything.match_indices("crate::").filter(|(at, _)| {
        let before = source.everything[..*at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$')
    });
    let mut found: Vec<String> =
        from_crate.flat_map(|(at, found)| first_names(&source.everything[at + found.len()..])).collect();
    // Inside an inline test module one more step is needed, so only the code outside tests is looked at here.
    let climb = "super::".repeat(source.module.len());
    if !source.module.is_empty() {
        found.extend(source.code.match_indices(&climb).flat_map(|(at, climb)| {
            let rest = &source.code[at + climb.len()..];
            let climbs_before = source.code[..at].ends_with("super::");
            if climbs_before { Vec::new() } else { first_names(rest) }
        }));
    }
    // `crate` itself is no floor: re-exports, macros and constants at the root would hide where a name lives.
    found.sort();
    found.dedup();
    found
}

/// The names a path goes on with: one, or each first one of a `{...}` group.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ => {}
        }
        parts.last_mut().expect("it starts with one part").push(letter);
    }
    let parts = parts.iter().map(|part| name(part.trim_start_matches(','))).filter(|name: &String| !name.is_empty());
    parts.collect()
}

fn assert_none(breaches: &[String], rule: &str) {
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}

#[test]
fn every_module_at_the_root_has_its_floor() {
    let placed = |module: &str| floor(module).is_some() || BESIDE.iter().any(|(name, _)| *name == module);
    let homeless: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.module.first().is_some_and(|module| !placed(module)))
        .map(|source| source.path)
        .collect();
    assert_none(&homeless, "these files belong to no floor; give the module one in docs and in this test");
}

#[test]
fn imports_go_down_only() {
    let mut breaches = Vec::new();
    for source in sources() {
        let Some(importer) = source.module.first() else { continue };
        for imported in imported_modules(&source) {
            if !may_import(importer, &imported) {
                breaches.push(format!("{}: {importer} imports {imported}", source.path));
            }
        }
    }
    assert_none(&breaches, "imports go down only, and siblings do not meet");
}

#[test]
fn lower_floors_are_pure() {
    let mut breaches = Vec::new();
    for source in sources() {
        let pure = source.module.first().and_then(|module| floor(module)).is_some_and(|at| at <= HIGHEST_PURE_FLOOR);
        if !pure {
            continue;
        }
        // The store's engines are where the disk is: their readers on other threads share what the writer moves.
        let is_store = source.module.first().is_some_and(|module| module == "store");
        let is_allowed = |word: &str| is_store && ["Mutex", "RwLock"].contains(&word);
        let found = IMPURE.iter().filter(|word| !is_allowed(word) && contains_word(&source.code, word));
        breaches.extend(found.map(|word| format!("{}: {word}", source.path)));
    }
    assert_none(&breaches, "no async, lock, clock, randomness or log below the broker");
}

#[test]
fn files_stay_short() {
    let long = sources().into_iter().filter(|source| source.lines > LINES_MAX);
    let long: Vec<String> = long.map(|source| format!("{}: {} lines", source.path, source.lines)).collect();
    assert_none(&long, "at most 500 lines a file, tests not counted");
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let unwraps = sources().into_iter().filter(|source| source.code.contains(".unwrap()"));
    let unwraps: Vec<String> = unwraps.map(|source| source.path).collect();
    assert_none(&unwraps, "`.unwrap()` says nothing about why it cannot fail");
}

fn contains_word(text: &str, word: &str) -> bool {
    let part_of_name = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    text.match_indices(word).any(|(at, _)| {
        !part_of_name(text[..at].chars().next_back()) && !part_of_name(text[at + word.len()..].chars().next())
    })
}

#[test]
fn the_reader_of_imports_sees_groups_and_nesting() {
    assert_eq!(first_names("types::QoS;"), ["types"]);
    assert_eq!(first_names("{types::{QoS, Now}, packet::Packet, broker};"), ["types", "packet", "broker"]);
    assert_eq!(first_names("{\n    codec,\n    store::Store,\n};"), ["codec", "store"]);
}

#[test]
fn the_rules_of_the_floors_are_as_drawn() {
    assert!(may_import("server", "broker") && may_import("broker", "session") && may_import("broker", "config"));
    assert!(may_import("config", "types") && may_import("codec", "packet") && may_import("server", "types"));
    assert!(!may_import("codec", "session") && !may_import("store", "broker") && !may_import("types", "packet"));
    assert!(may_import("run", "admin") && !may_import("admin", "server") && !may_import("server", "admin"));
    assert!(!may_import("session", "clock") && !may_import("config", "broker") && !may_import("clock", "config"));
}
