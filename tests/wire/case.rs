//! The rows of wire-cases.csv and of wire-exceptions.csv.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::script::{Expectation, Step, parse_expectation, parse_steps};

#[derive(Debug, Deserialize)]
pub struct Row {
    pub id: String,
    pub version: String,
    pub area: String,
    pub title: String,
    pub needs: String,
    pub sent: String,
    pub expected: String,
    pub reply: String,
    pub also_ok: String,
}

/// A case this broker is allowed to fail. While a case is listed, passing it is an error: the list may only shrink.
#[derive(Debug, Deserialize)]
pub struct Exception {
    pub id: String,
    pub reason: String,
    pub statement: String,
}

/// A case ready to be performed.
#[derive(Debug)]
pub struct Case {
    pub row: Row,
    pub sent: Vec<Step>,
    pub reply: Vec<Expectation>,
    pub also_ok: Vec<String>,
}

impl Case {
    pub fn parse(row: Row) -> Result<Case, String> {
        let blame = |why: String| format!("{}: {why}", row.id);
        let sent = parse_steps(&row.sent).map_err(blame)?;
        let reply =
            parts(&row.reply, " ; ").map(|text| parse_expectation(text).map_err(blame)).collect::<Result<_, _>>()?;
        let also_ok = parts(&row.also_ok, " / ").map(str::to_owned).collect();
        Ok(Case { row, sent, reply, also_ok })
    }
}

fn parts<'a>(text: &'a str, separator: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(separator).filter(|part| !part.is_empty())
}

/// All rows of a file under tests/data.
pub fn rows<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let mut reader = csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader.deserialize().map(|row| row.unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}
