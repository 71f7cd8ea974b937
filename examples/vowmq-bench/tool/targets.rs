//! What a case ought to reach, from examples/vowmq-bench/targets.toml.
use super::problem::{Tried, Trying};
use super::report::number;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Targets(BTreeMap<String, Target>);

/// Bounds for one case; any of them may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    /// The figure itself must be at least or at most this.
    at_least: Option<f64>,
    at_most: Option<f64>,
    /// How much better than the other; see the ratios of the report.
    to_mosquitto: Option<f64>,
    to_relay: Option<f64>,
    /// How much more than the relay's the figure may be, in its unit.
    over_relay: Option<f64>,
    /// How many bare synced writes long a time may be.
    syncs: Option<f64>,
    /// How much of what another case reaches.
    to_case: Option<(String, f64)>,
}

/// What a case reached, and how that stands to others.
pub struct Reached<'r> {
    pub ours: Option<f64>,
    pub to_mosquitto: Option<f64>,
    pub to_relay: Option<f64>,
    /// What the relay reached.
    pub relay: Option<f64>,
    /// What a bare synced write takes, microseconds.
    pub sync_us: f64,
    /// What we reached in the case of this name.
    pub others: &'r dyn Fn(&str) -> Option<f64>,
}

/// A target, and whether it is met.
pub struct Verdict {
    text: String,
    is_met: Option<bool>,
}

impl Targets {
    pub fn read() -> Tried<Self> {
        toml::from_str(include_str!("../targets.toml")).trying(|| "examples/vowmq-bench/targets.toml".to_owned())
    }

    /// Judges a case that has a target.
    pub fn judge(&self, case: &str, reached: &Reached<'_>) -> Option<Verdict> {
        let target = self.0.get(case)?;
        let mut rows = vec![
            (target.at_least, reached.ours, "at least ".to_owned(), 1.0),
            (target.at_most, reached.ours, "at most ".to_owned(), -1.0),
            (target.to_mosquitto, reached.to_mosquitto, "Mosquitto x ".to_owned(), 1.0),
            (target.to_relay, reached.to_relay, "relay x ".to_owned(), 1.0),
        ];
        if let Some(more) = target.over_relay {
            let over = reached.ours.zip(reached.relay).map(|(ours, relay)| ours - relay);
            rows.push((Some(more), over, "above the relay at most ".to_owned(), -1.0));
        }
        if let Some(syncs) = target.syncs {
            let took = reached.ours.map(|ours| ours / reached.sync_us);
            rows.push((Some(syncs), took, "times a synced write at most ".to_owned(), -1.0));
        }
        if let Some((other, part)) = &target.to_case {
            let ratio = reached.ours.zip((reached.others)(other)).map(|(ours, other)| ours / other);
            rows.push((Some(*part), ratio, format!("{other} x "), 1.0));
        }
        let mut texts = Vec::new();
        let mut is_met = Some(true);
        for (bound, value, text, sign) in rows {
            let Some(bound) = bound else { continue };
            texts.push(format!("{text}{}", number(bound)));
            // What could not be measured is neither met nor missed.
            is_met = match (is_met, value) {
                (Some(is_met), Some(value)) => Some(is_met && value * sign >= bound * sign),
                (None, _) | (_, None) => None,
            };
        }
        Some(Verdict { text: texts.join(", "), is_met })
    }
}

impl Verdict {
    pub fn cells(&self) -> [String; 2] {
        let met = match self.is_met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        [self.text.clone(), met.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(target: &str, ours: f64, to_mosquitto: Option<f64>) -> [String; 2] {
        let targets: Targets = toml::from_str(&format!("[a]\n{target}")).expect("a table of targets");
        let others = |case: &str| (case == "b").then_some(8.0);
        let reached = Reached {
            ours: Some(ours),
            to_mosquitto,
            to_relay: None,
            relay: Some(3.0),
            sync_us: 100.0,
            others: &others,
        };
        targets.judge("a", &reached).expect("there is a target").cells()
    }

    #[test]
    fn bounds_are_met_missed_or_not_measured() {
        assert_eq!(judged("at_least = 5", 5.0, None), ["at least 5.0", "met"]);
        assert_eq!(judged("at_most = 5", 5.1, None), ["at most 5.0", "missed"]);
        assert_eq!(judged("at_most = 5\nto_mosquitto = 2", 4.0, Some(1.9))[1], "missed");
        assert_eq!(judged("to_mosquitto = 2", 4.0, None)[1], "not measured");
        assert_eq!(judged("over_relay = 2", 5.0, None), ["above the relay at most 2.0", "met"]);
        assert_eq!(judged("over_relay = 2", 5.1, None)[1], "missed");
        assert_eq!(judged("to_case = ['b', 0.7]", 6.0, None), ["b x 0.7", "met"]);
        assert_eq!(judged("to_case = ['b', 0.7]", 5.0, None)[1], "missed");
        assert_eq!(judged("to_case = ['c', 0.7]", 5.0, None)[1], "not measured");
    }

    #[test]
    fn the_file_names_cases_that_exist() {
        let cases = super::super::cases::all();
        let names: Vec<_> = cases.iter().flat_map(|case| case.figures.iter().map(|figure| case.row(figure))).collect();
        for name in Targets::read().expect("the file is as it should be").0.keys() {
            assert!(names.contains(name), "{name}");
        }
    }
}
