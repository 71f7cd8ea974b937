//! Every numbered statement of the two standards that a broker can break is held by a test.
//!
//! A wire case holds the statements in its `covers` column. Any other test holds those named in a tag, written like
//! `[MQTT-4.3.3-10]` in a comment or name beside it. Both versions share many numbers, so a tag counts for both,
//! unless `(3.1.1)` or `(5.0)` follows it.

mod document;
#[path = "../source/mod.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use source::{read, rust_files, split};

#[derive(Deserialize)]
struct Statement {
    id: String,
    role: String,
    testable: String,
    summary: String,
    broker_action: String,
}

#[derive(Deserialize)]
struct WireCase {
    id: String,
    version: String,
    area: String,
    needs: String,
    covers: String,
}

#[derive(Deserialize)]
struct Exception {
    id: String,
}

/// A group of wire cases that is not run, by the start of its area or of its needs.
#[derive(Deserialize)]
struct LeftOut {
    start: String,
    reason: String,
}

const VERSIONS: [(&str, &str, &str); 2] = [("3.1.1", "(3.1.1)", "mqtt311.csv"), ("5", "(5.0)", "mqtt5.csv")];

fn rows<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader.deserialize().map(|row| row.unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// Whether, and why not, a wire case is run.
fn left_out<'a>(case: &WireCase, groups: &'a [LeftOut]) -> Option<&'a LeftOut> {
    groups.iter().find(|group| case.area.starts_with(&group.start) || case.needs.starts_with(&group.start))
}

fn covered(case: &WireCase) -> Vec<String> {
    case.covers.split(' ').filter(|statement| statement.starts_with("MQTT-")).map(str::to_owned).collect()
}

/// The wire cases of one version that are run, with what they hold.
fn wire_cases(version: &str) -> Vec<(String, Vec<String>)> {
    let excused: BTreeSet<String> = rows("wire-exceptions.csv").into_iter().map(|Exception { id }| id).collect();
    let groups: Vec<LeftOut> = rows("wire-left-out.csv");
    let cases = rows::<WireCase>("wire-cases.csv").into_iter().filter(|case| case.version == version);
    let run = cases.filter(|case| left_out(case, &groups).is_none() && !excused.contains(&case.id));
    run.map(|case| (case.id.clone(), covered(&case))).collect()
}

/// What the wire cases of one version hold, and what they would hold if the broker had all features.
fn held_by_wire_cases(version: &str) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let groups: Vec<LeftOut> = rows("wire-left-out.csv");
    let mut later = BTreeMap::new();
    for case in rows::<WireCase>("wire-cases.csv").iter().filter(|case| case.version == version) {
        if let Some(group) = left_out(case, &groups) {
            later.extend(covered(case).into_iter().map(|statement| (statement, group.reason.clone())));
        }
    }
    (wire_cases(version).into_iter().flat_map(|(_, statements)| statements).collect(), later)
}

/// Statements tagged in tests: in test modules below src, and anywhere below tests.
fn held_by_tags(own_mark: &str) -> BTreeSet<String> {
    let in_sources = rust_files("src").into_iter().map(|path| split(&path).1);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/statements");
    let in_tests = rust_files("tests").into_iter().filter(|path| !path.starts_with(&here)).map(|path| read(&path));
    in_sources.chain(in_tests).flat_map(|text| tags(&text, own_mark)).collect()
}

fn tags(text: &str, own_mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("[MQTT-") {
        let Some((inside, after)) = text[at + 1..].split_once(']') else { continue };
        let after = after.trim_start();
        let other_version = VERSIONS.iter().any(|(_, mark, _)| *mark != own_mark && after.starts_with(mark));
        if !other_version {
            found.extend(inside.split(',').map(|statement| statement.trim().to_owned()));
        }
    }
    found
}

#[test]
fn every_statement_a_broker_can_break_is_held_by_a_test() {
    let mut report = Vec::new();
    let mut missing = 0;
    for (version, mark, file) in VERSIONS {
        let statements: Vec<Statement> = rows(file);
        let (by_wire, later) = held_by_wire_cases(version);
        let by_tag = held_by_tags(mark);
        for statement in statements.iter().filter(|statement| statement.testable != "no") {
            let id = &statement.id;
            if by_wire.contains(id) || by_tag.contains(id) {
                continue;
            }
            if let Some(reason) = later.get(id) {
                report.push(format!("{version} {id}: later, {reason}"));
                continue;
            }
            missing += 1;
            report.push(format!(
                "{version} {id}: MISSING ({}, {}) {}",
                statement.role, statement.testable, statement.summary
            ));
        }
    }
    println!("{}", report.join("\n"));
    assert_eq!(missing, 0, "statements no test holds; see the list above");
}

#[test]
fn tags_name_statements_that_exist() {
    let mut unknown: BTreeSet<String> = BTreeSet::new();
    let known: BTreeSet<String> =
        VERSIONS.iter().flat_map(|(_, _, file)| rows::<Statement>(file)).map(|statement| statement.id).collect();
    for (_, mark, _) in VERSIONS {
        unknown.extend(held_by_tags(mark).into_iter().filter(|tag| !known.contains(tag)));
    }
    assert!(unknown.is_empty(), "tags that name no statement: {unknown:?}");
}

#[test]
fn tags_may_name_several_statements_and_one_version() {
    let tagged = |text: &str, mark: &str| tags(text, mark).join(" ");
    assert_eq!(tagged("// [MQTT-1-1, MQTT-1-2] and [MQTT-2-1]", "(5.0)"), "MQTT-1-1 MQTT-1-2 MQTT-2-1");
    assert_eq!(tagged("// [MQTT-1-1] (5.0) [MQTT-2-1] (3.1.1)", "(5.0)"), "MQTT-1-1");
}
