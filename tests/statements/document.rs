//! docs/CONFORMANCE.md: for each statement of both versions where it is fulfilled and what shows it, or why it does not
//! bind a broker. `WRITE_CONFORMANCE=1 cargo test --test statements` writes it anew.
use super::source::{read, rust_files, split};
use super::{Statement, VERSIONS, held_by_wire_cases, rows, tags, wire_cases};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where a statement is fulfilled that no single `if` of the code is for.
#[derive(Deserialize)]
struct Fulfilled {
    version: String,
    statement: String,
    #[serde(rename = "where")]
    place: String,
}

const HEAD: &str = "\
# Conformance

Every numbered statement of MQTT 3.1.1 and 5.0: where VowMQ fulfils it, and which tests show it, or why it does not bind a
broker. The tables are made from the tags in the code and tests (`[MQTT-4.3.3-10]`), from tests/data/fulfilled.csv for
what no single place is for, and from the wire cases; `cargo test --test statements` fails when a statement has no row
or this page is out of date, and `WRITE_CONFORMANCE=1 cargo test --test statements` writes it anew.

Names like W5-012 are rows of tests/data/wire-cases.csv, run by `cargo test --test wire_cases`.
";

/// Tests and wire cases named in one row; the rest is only counted.
const NAMED_MAX: usize = 4;

/// For one version: statement to names.
type Names = BTreeMap<String, BTreeSet<String>>;

fn name(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn note(names: &mut Names, text: &str, mark: &str, name: &str) {
    for statement in tags(text, mark) {
        names.entry(statement).or_default().insert(name.to_owned());
    }
}

/// Statements that a violation names as its rule.
fn rules(code: &str) -> impl Iterator<Item = String> {
    let found = code.match_indices("\"MQTT-").filter_map(|(at, _)| code[at + 1..].split_once('"'));
    found.map(|(statement, _)| statement.to_owned())
}

/// Code that fulfils statements, and tests that hold them.
fn tagged(mark: &str) -> (Names, Names) {
    let (mut code, mut tests) = (Names::new(), Names::new());
    for path in rust_files("src") {
        let (compiled, tested) = split(&path);
        note(&mut code, &compiled, mark, &name(&path));
        for statement in rules(&compiled) {
            code.entry(statement).or_default().insert(name(&path));
        }
        note(&mut tests, &tested, mark, &name(&path));
    }
    let here: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/statements");
    for path in rust_files("tests").into_iter().filter(|path| !path.starts_with(&here)) {
        note(&mut tests, &read(&path), mark, &name(&path));
    }
    (code, tests)
}

/// Adds the wire cases that hold statements. Gives back why some statements have none yet.
fn add_wire_cases(version: &str, tests: &mut Names) -> BTreeMap<String, String> {
    for (case, statements) in wire_cases(version) {
        for statement in statements {
            tests.entry(statement).or_default().insert(case.clone());
        }
    }
    held_by_wire_cases(version).1
}

fn listed(names: Option<&BTreeSet<String>>) -> String {
    let Some(names) = names else { return String::new() };
    let mut listed = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED_MAX {
        let _ = write!(listed, " and {} more", names.len() - NAMED_MAX);
    }
    listed
}

/// Why a statement asks nothing of a broker.
fn unbound(statement: &Statement) -> Option<String> {
    let is_of_client = statement.role == "client";
    (statement.testable == "no").then(|| match is_of_client {
        true => format!("binds clients. {}", statement.broker_action),
        false => statement.broker_action.clone(),
    })
}

/// The page, and the statements that no row can be made for.
fn page() -> (String, Vec<String>) {
    let mut page = HEAD.to_owned();
    let mut missing = Vec::new();
    for (version, mark, file) in VERSIONS {
        let (mut code, mut tests) = tagged(mark);
        for Fulfilled { version: of, statement, place } in rows::<Fulfilled>("fulfilled.csv") {
            if of == version {
                code.entry(statement)
                    .or_default()
                    .insert(place.replace(' ', if place.contains("src/") { ", " } else { " " }));
            }
        }
        let later = add_wire_cases(version, &mut tests);
        let statements: Vec<Statement> = rows(file);
        let title = if version == "5" { "5.0" } else { version };
        let _ = write!(page, "\n## MQTT {title}\n\n{} statements.\n\n", statements.len());
        page.push_str("| statement | in short | fulfilled in | shown by |\n|---|---|---|---|\n");
        for statement in &statements {
            let (place, shown) = (listed(code.get(&statement.id)), listed(tests.get(&statement.id)));
            let (place, shown) = match unbound(statement) {
                Some(reason) => (reason, if shown.is_empty() { "–".to_owned() } else { shown }),
                None if shown.is_empty() && later.contains_key(&statement.id) => {
                    (format!("not yet: {}", later[&statement.id]), "–".to_owned())
                }
                None => (place, shown),
            };
            if place.is_empty() || shown.is_empty() {
                missing.push(format!("{version} {}: fulfilled in \"{place}\", shown by \"{shown}\"", statement.id));
            }
            let _ =
                writeln!(page, "| {} | {} | {place} | {shown} |", statement.id, statement.summary.replace('|', "\\|"));
        }
    }
    (page, missing)
}

#[test]
fn every_statement_has_its_row_in_the_documentation() {
    let (page, missing) = page();
    assert!(missing.is_empty(), "statements without a row:\n{}", missing.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFORMANCE.md");
    if std::env::var_os("WRITE_CONFORMANCE").is_some() {
        std::fs::write(&path, &page).expect("docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/CONFORMANCE.md is out of date; run WRITE_CONFORMANCE=1 cargo test --test statements"
    );
}

#[test]
fn places_that_are_files_are_there() {
    for Fulfilled { statement, place, .. } in rows::<Fulfilled>("fulfilled.csv") {
        for file in place.split(' ').filter(|word| word.starts_with("src/")) {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file(), "{statement}: {file} is not there");
        }
    }
}
