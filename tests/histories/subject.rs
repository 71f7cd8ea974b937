//! Whose crashes are looked at, as the environment says.
use super::target::Target;

pub struct Subject {
    pub target: Target,
    pub name: String,
    /// Ours is asked for perfection; of others the faults are counted.
    pub is_ours: bool,
}

impl Subject {
    /// `CRASH_BROKER="mosquitto -c {config}" CRASH_CONFIG=tests/crash/mosquitto.conf`, or our broker.
    pub fn from_environment() -> Self {
        let Ok(name) = std::env::var("CRASH_BROKER") else {
            return Self { target: Target::ours(&[]), name: "vowmq".to_owned(), is_ours: true };
        };
        let path = std::env::var("CRASH_CONFIG").expect("CRASH_BROKER needs CRASH_CONFIG, the path of a template");
        let config = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let command = name.split_whitespace().map(str::to_owned).collect();
        Self { target: Target { command, config }, name, is_ours: false }
    }
}
