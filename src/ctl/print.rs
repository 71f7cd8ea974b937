//! Answers as tables. Whatever clients chose is shown without what would steer a terminal.
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// A heading, and the field below it.
pub(super) type Columns = [(&'static str, &'static str)];

/// Control characters as escapes.
pub(super) fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, letter| {
        let steers = letter.is_control()
            || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
        shown
    })
}

/// A value for people.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => plain(text),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Object(fields) if fields.is_empty() => "-".to_owned(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{}={}", plain(name), text(value)));
            fields.collect::<Vec<_>>().join(" ")
        }
    }
}

/// One line for each item.
pub(super) fn table(items: &[Value], columns: &Columns) {
    let mut table = empty();
    table.set_header(columns.iter().map(|(heading, _)| *heading));
    for item in items {
        table.add_row(columns.iter().map(|(_, field)| field_of(item, field)));
    }
    println!("{}", table.trim_fmt());
}

/// One line for each field that is there.
pub(super) fn record(item: &Value, fields: &Columns) {
    let mut table = empty();
    for (heading, field) in fields {
        let value = field_of(item, field);
        if value != "-" {
            table.add_row([(*heading).to_owned(), value]);
        }
    }
    println!("{}", table.trim_fmt());
}

fn empty() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// `message.topic` is the topic in the message.
fn field_of(item: &Value, field: &str) -> String {
    let value = field.split('.').try_fold(item, |item, name| item.get(name));
    let value = value.unwrap_or(&Value::Null);
    if field.ends_with("_at_ms") || ["since_ms", "until_ms"].contains(&field) {
        return value.as_u64().map_or("-".to_owned(), moment);
    }
    text(value)
}

/// Milliseconds since 1970 as date and time (UTC), by the civil calendar.
fn moment(ms: u64) -> String {
    let (days, of_day) = (ms / 86_400_000, ms % 86_400_000);
    // Years begin in March here, so that the leap day is the last of them.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    format!("{year}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\n\u{202e}c"), "a\\u{1b}[31mb\\u{a}\\u{202e}c");
        assert_eq!(plain("Zähler/1 °C"), "Zähler/1 °C");
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(951_782_399_000), "2000-02-28T23:59:59Z");
        assert_eq!(moment(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(moment(1_795_455_509_522), "2026-11-23T17:38:29Z");
    }
}
