//! What a comparison found, as Markdown, bar charts and JSON.
use super::brokers::Kind;
use super::cases::{Case, Figure};
use super::charts;
use super::compare::{Arguments, Column, Runs};
use super::disk;
use super::machine;
use super::problem::{Tried, Trying};
use super::run::Found;
use super::table::{Table, median};
use super::targets::{Reached, Targets, Verdict};
use super::work::Outcome;
use std::fs;
use std::path::Path;

/// Writes everything; whether all runs were sound.
pub fn comparison(
    arguments: &Arguments,
    directory: &Path,
    cases: &[Case],
    columns: &[Column],
    runs: &Runs,
) -> Tried<bool> {
    let mut text = machine::header();
    let sync_us = disk::sync_us(directory)?;
    text += &disk::line(sync_us);
    text += &figures(cases, columns, runs, sync_us)?;
    text += &details(cases, columns, runs);
    let faults = faults(runs);
    text += &faults;
    text += &settings(columns);
    if !arguments.json {
        println!("{text}");
    }
    if let Some(path) = &arguments.markdown {
        fs::write(path, &text).trying(|| format!("writing {}", path.display()))?;
    }
    if let Some(directory) = &arguments.svg {
        charts::draw(directory, cases, columns, runs)?;
    }
    if arguments.json {
        let all: Vec<_> = runs
            .iter()
            .map(|((case, broker), found)| serde_json::json!({ "case": case, "broker": broker, "runs": found }))
            .collect();
        println!("{}", serde_json::to_string_pretty(&all).trying(|| "writing JSON".to_owned())?);
    }
    let ours = runs.iter().filter(|((_, broker), _)| broker.starts_with(Kind::Vowmq.name()));
    Ok(ours.flat_map(|(_, outcomes)| outcomes).all(|outcome| outcome.is_sound))
}

/// The median of one of a case's figures with one broker.
pub fn middle(case: &Case, figure: &Figure, column: &Column, runs: &Runs) -> Option<f64> {
    let outcomes = runs.get(&(case.name, column.name.clone()))?;
    let at = case.figures.iter().position(|one| one == figure)?;
    Some(median(outcomes.iter().filter_map(|outcome| outcome.values.get(at).copied())))
}

/// The main table: a row for each case, a column for each broker, ratios and targets behind.
fn figures(cases: &[Case], columns: &[Column], runs: &Runs, sync_us: f64) -> Tried<String> {
    let targets = Targets::read()?;
    let mut headings = vec!["case".to_owned(), "unit".to_owned()];
    headings.extend(columns.iter().map(|column| column.name.clone()));
    headings.extend(["to Mosquitto", "to relay", "target", ""].map(str::to_owned));
    let mut table = Table::new(headings);
    let rows = || cases.iter().flat_map(|case| case.figures.iter().map(move |figure| (case, figure)));
    let our_column = columns.iter().find(|column| column.kind == Kind::Vowmq);
    let others = |name: &str| {
        let (case, figure) = rows().find(|(case, figure)| case.row(figure) == name)?;
        middle(case, figure, our_column?, runs)
    };
    for (case, figure) in rows() {
        let value = |column: &Column| middle(case, figure, column, runs);
        let of = |kind| columns.iter().find(|column| column.kind == kind).and_then(value);
        let ours = of(Kind::Vowmq);
        let ratio = |other: Option<f64>| Some(better(figure, ours?, other?));
        let (to_mosquitto, to_relay) = (ratio(of(Kind::Mosquitto)), ratio(of(Kind::Relay)));
        let mut row = vec![case.row(figure), figure.unit.to_owned()];
        row.extend(columns.iter().map(|column| value(column).map_or_else(dash, number)));
        row.extend([to_mosquitto, to_relay].map(|ratio| ratio.map_or_else(dash, |ratio| format!("{ratio:.2}"))));
        let relay = of(Kind::Relay);
        let reached = Reached { ours, to_mosquitto, to_relay, relay, sync_us, others: &others };
        let verdict = targets.judge(&case.row(figure), &reached);
        row.extend(verdict.as_ref().map_or_else(|| [dash(), dash()], Verdict::cells));
        table.row(row);
    }
    let note = "Medians of the rounds. Ratios above 1 are in VowMQ's favour.\n\n";
    Ok(format!("{}\n{note}", table.markdown()))
}

/// How much better ours is.
fn better(figure: &Figure, ours: f64, other: f64) -> f64 {
    if figure.is_gain { ours / other } else { other / ours }
}

fn details(cases: &[Case], columns: &[Column], runs: &Runs) -> String {
    let headings = [
        "case",
        "broker",
        "messages/s",
        "p50 us",
        "p99 us",
        "p99.9 us",
        "broker us/message",
        "tool us/message",
        "RSS MiB",
        "lost",
    ];
    let mut table = Table::new(headings.map(str::to_owned).to_vec());
    for case in cases {
        for column in columns {
            let Some(outcomes) = runs.get(&(case.name, column.name.clone())) else { continue };
            let found: Vec<&Found> = outcomes.iter().filter_map(|outcome| outcome.found.as_ref()).collect();
            if found.is_empty() {
                continue;
            }
            let of = |what: fn(&Found) -> f64| median(found.iter().map(|found| what(found)));
            table.row(vec![
                case.name.to_owned(),
                column.name.clone(),
                number(of(|found| found.rate)),
                number(of(|found| found.p50_us)),
                number(of(|found| found.p99_us)),
                number(of(|found| found.p999_us)),
                format!("{:.2}", of(|found| found.broker_us_per_message)),
                format!("{:.2}", of(|found| found.tool_us_per_message)),
                format!("{:.1}", of(|found| found.rss_mib)),
                found.iter().map(|found| found.faults.lost).sum::<u64>().to_string(),
            ]);
        }
    }
    let list: String = cases.iter().map(|case| format!("- `{}`: {}\n", case.name, case.what)).collect();
    format!("{}\n{list}\n", table.markdown())
}

fn faults(runs: &Runs) -> String {
    let unsound = runs.iter().flat_map(|((case, broker), outcomes)| {
        let unsound = outcomes.iter().filter(|outcome| !outcome.is_sound);
        unsound.map(move |outcome: &Outcome| format!("- {case} with {broker}: {}\n", outcome.faults))
    });
    let list: String = unsound.collect();
    if list.is_empty() {
        return "Nothing was lost above QoS 0, doubled, damaged or out of order.\n\n".to_owned();
    }
    format!("Faults:\n\n{list}\n")
}

fn settings(columns: &[Column]) -> String {
    let mut text = "Settings:\n\n".to_owned();
    for column in columns.iter().filter(|column| column.kind != Kind::Relay) {
        let lines = column.kind.settings("DIR", 1883);
        text += &format!("{}:\n\n```\n{}\n```\n\n", column.name, lines.trim());
    }
    text
}

/// A figure that is easy to compare: whole and grouped above 100.
pub fn number(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn dash() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(number(99.94), "99.9");
        assert_eq!(number(1234567.4), "1,234,567");
        assert_eq!(number(123.0), "123");
    }

    #[test]
    fn less_time_is_better_and_more_messages_are() {
        let figure = |is_gain| Figure { name: "", unit: "", is_gain };
        assert!(better(&figure(true), 2.0, 1.0) > 1.0);
        assert!(better(&figure(false), 1.0, 2.0) > 1.0);
    }
}
