//! `[traces]`: where spans go, and how many.
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traces {
    /// The URL that spans are posted to; "" is none.
    pub endpoint: String,
    pub sample_ratio: Ratio,
    /// Lines of `Name: value`, sent with each request; empty is none.
    pub headers_file: PathBuf,
    /// PEM with who may have signed the collector's certificate; empty is Mozilla's list.
    pub ca_file: PathBuf,
    pub timeout_ms: u64,
    pub queue_spans_max: usize,
    pub service_name: String,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            sample_ratio: Ratio(0.01),
            headers_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            timeout_ms: 5000,
            queue_spans_max: 8192,
            service_name: "vowmq".to_owned(),
        }
    }
}

/// A share, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ratio(pub f64);

/// Faults are told of whatever is not between 0 and 1, NaN included.
impl Eq for Ratio {}

/// Key, fault, fix.
type Fault = (String, String, String);

impl Traces {
    pub fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault =
            |key: &str, what: String, fix: &str| faults.push((format!("traces.{key}"), what, fix.to_owned()));
        let is_url = ["http://", "https://"].iter().any(|scheme| self.endpoint.starts_with(scheme));
        if self.is_on() && !is_url {
            let fix = "write e.g. endpoint = \"http://127.0.0.1:4318/v1/traces\", or \"\" for none";
            fault("endpoint", format!("\"{}\" is no URL", self.endpoint), fix);
        }
        let Ratio(ratio) = self.sample_ratio;
        if !(0.0..=1.0).contains(&ratio) {
            fault("sample_ratio", format!("{ratio} is out of range"), "choose a value from 0 to 1");
        }
        if self.timeout_ms == 0 {
            fault("timeout_ms", "0 would end every request at once".to_owned(), "choose a time in milliseconds");
        }
        if !(1..=1_000_000).contains(&self.queue_spans_max) {
            let what = format!("{} is out of range", self.queue_spans_max);
            fault("queue_spans_max", what, "choose a value from 1 to 1000000");
        }
        faults
    }

    /// What is allowed, but deserves a second look.
    pub(super) fn warning(&self) -> Option<String> {
        let has_secrets = !self.headers_file.as_os_str().is_empty();
        let is_near =
            ["http://127.", "http://[::1]", "http://localhost"].iter().any(|near| self.endpoint.starts_with(near));
        (has_secrets && self.endpoint.starts_with("http://") && !is_near)
            .then(|| "traces.headers_file: what is in it is sent over the network in the clear; use https".to_owned())
    }
}
