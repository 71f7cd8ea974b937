//! Bridges, which VowMQ has none of: they are written down as comments, without their passwords.
use super::draft::Draft;
use super::finding::{Findings, Weight};
use super::sections::{Bridge, Mosquitto};

pub fn translate(mosquitto: &Mosquitto, draft: &mut Draft, findings: &mut Findings) {
    for bridge in &mosquitto.bridges {
        let text = "there are no bridges; let Mosquitto go on as one between two brokers, or a client that subscribes here and \
                    publishes there (docs/MIGRATE.md)";
        findings.add(Weight::Missing, Some(&bridge.place), &format!("connection {}", bridge.name), text);
        draft.tail.extend(lines(bridge));
    }
}

fn lines(bridge: &Bridge) -> Vec<String> {
    let mut lines = vec![format!("{}: bridge \"{}\", which has no equivalent:", bridge.place, bridge.name)];
    for option in ["address", "addresses", "topic"] {
        let given = bridge.settings.all(option).iter();
        lines.extend(given.map(|given| format!("  {option} {}", given.value)));
    }
    lines
}
