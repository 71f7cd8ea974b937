//! `[[queue.filter]]`: limits on what each session holds of some topics.
use super::OnFull;
use crate::types::{Text, TopicFilter};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// One of them. What is left out sets no limit; the first whose filter matches a topic decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFilter {
    pub filter: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// In place of `queue.age_s_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s_max: Option<u32>,
    /// In place of `queue.on_full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_full: Option<OnFull>,
}

/// More would not have numbers of their own.
const FILTERS_MAX: usize = 255;
const KNOWN: [&str; 5] = ["filter", "messages_max", "bytes_max", "age_s_max", "on_full"];

/// Key, fault, fix.
pub(super) type Fault = (String, String, String);

fn fault(name: &str, what: String, fix: &str) -> Fault {
    (format!("queue.filter.{name}"), what, fix.to_owned())
}

impl QueueFilter {
    /// What is wrong with one entry as it was read: names and kinds.
    pub(super) fn misfit(entry: &Value) -> Option<Fault> {
        let Value::Table(table) = entry else {
            let fix = "write [[queue.filter]] above its settings";
            return Some(("queue.filter".to_owned(), "not a table".to_owned(), fix.to_owned()));
        };
        if let Some(unknown) = table.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let fix = format!("choose among {}", KNOWN.join(", "));
            return Some(fault(unknown, "unknown key".to_owned(), &fix));
        }
        KNOWN.into_iter().find_map(|name| misfit(table, name))
    }

    pub fn parsed(&self) -> Option<TopicFilter> {
        Text::try_from(self.filter.as_str()).ok().and_then(|text| TopicFilter::parse(&text).ok())
    }

    /// What is wrong with values that are of the right kind.
    fn fault(&self, on_full: OnFull) -> Option<Fault> {
        let Some(filter) = self.parsed() else {
            let fix = "write a filter as clients subscribe with, e.g. filter = \"telemetry/#\"";
            return Some(fault("filter", format!("\"{}\" is no topic filter", self.filter), fix));
        };
        if filter.is_shared() {
            let what = format!("\"{}\" is a shared subscription, and not a set of topics", self.filter);
            return Some(fault("filter", what, "leave out $share and the name behind it"));
        }
        let limits = self.messages_max.is_some() || self.bytes_max.is_some();
        if !limits && self.age_s_max.is_none() {
            let fix = "set messages_max, bytes_max or age_s_max";
            return Some(fault("filter", format!("\"{}\" has no limit", self.filter), fix));
        }
        if self.messages_max == Some(0) || self.bytes_max == Some(0) {
            let name = if self.messages_max == Some(0) { "messages_max" } else { "bytes_max" };
            let fix = "choose at least 1, or leave it out for no limit";
            return Some(fault(name, "0 would take no message at all".to_owned(), fix));
        }
        match self.on_full {
            Some(OnFull::DropOldest) => {
                let what = "drop_oldest is for whole queues only".to_owned();
                Some(fault("on_full", what, "choose refuse, drop_newest"))
            }
            None if limits && on_full == OnFull::DropOldest => {
                let what = "missing, and queue.on_full = \"drop_oldest\" is for whole queues only".to_owned();
                Some(fault("on_full", what, "choose refuse, drop_newest"))
            }
            Some(OnFull::Refuse | OnFull::DropNewest) | None => None,
        }
    }
}

/// The faults of all entries, given what holds where an entry says nothing.
pub(super) fn faults(filters: &[QueueFilter], on_full: OnFull) -> Vec<Fault> {
    let mut faults: Vec<_> = filters.iter().filter_map(|filter| filter.fault(on_full)).collect();
    for (index, filter) in filters.iter().enumerate() {
        if filters.iter().take(index).any(|other| other.filter == filter.filter) {
            let what = format!("\"{}\" is there twice", filter.filter);
            faults.push(fault("filter", what, "keep one of them; the first that matches decides"));
        }
    }
    if filters.len() > FILTERS_MAX {
        let what = format!("{} of them are too many", filters.len());
        faults.push(("queue.filter".to_owned(), what, format!("keep at most {FILTERS_MAX}")));
    }
    faults
}

fn misfit(table: &Table, name: &str) -> Option<Fault> {
    let number = |most: i64| match table.get(name) {
        Some(Value::Integer(number)) if (0..=most).contains(number) => None,
        Some(value @ Value::Integer(_)) => Some(format!("{value} is out of range")),
        Some(value) => Some(format!("{value} is not a whole number")),
        None => None,
    };
    let (what, fix) = match name {
        "filter" => match table.get(name) {
            Some(Value::String(_)) => return None,
            Some(value) => (format!("{value} is not a text in quotes"), "write e.g. filter = \"telemetry/#\""),
            None => ("missing".to_owned(), "write e.g. filter = \"telemetry/#\""),
        },
        "messages_max" => (number(i64::MAX)?, "write e.g. messages_max = 1000"),
        "bytes_max" => (number(i64::MAX)?, "write e.g. bytes_max = 1048576"),
        "age_s_max" => (number(i64::from(u32::MAX))?, "write e.g. age_s_max = 3600"),
        _ => {
            let value = table.get(name)?;
            if value.clone().try_into::<OnFull>().is_ok() {
                return None;
            }
            (format!("{value} is not one of the values to choose from"), "choose refuse, drop_newest")
        }
    };
    Some(fault(name, what, fix))
}
