//! The lines put together to what they are about: the whole broker, a listener, or a bridge.
use super::finding::{Findings, Weight};
use super::lines::{Line, Place};
use super::options::{self, Answer, Scope, truth};
use std::collections::BTreeMap;

/// A value with where it is written.
#[derive(Debug, Clone)]
pub struct Given {
    pub place: Place,
    pub value: String,
}

/// Options that were given, each as often as it was.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<&'static str, Vec<Given>>);

impl Settings {
    fn add(&mut self, name: &'static str, given: Given) {
        self.0.entry(name).or_default().push(given);
    }

    /// The last one counts.
    pub fn last(&self, name: &str) -> Option<&Given> {
        self.0.get(name)?.last()
    }

    pub fn all(&self, name: &str) -> &[Given] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.last(name).map(|given| given.value.as_str())
    }

    pub fn is_true(&self, name: &str) -> bool {
        self.text(name).and_then(truth) == Some(true)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A `listener` line with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Section {
    /// The line that begins it; of the default listener, the first that is about it.
    pub place: Place,
    pub port: i64,
    /// An address, a host name, or the path of a Unix socket.
    pub host: Option<String>,
    pub settings: Settings,
}

#[derive(Debug, Clone)]
pub struct Bridge {
    pub place: Place,
    pub name: String,
    pub settings: Settings,
}

/// A configuration of Mosquitto.
#[derive(Debug, Default)]
pub struct Mosquitto {
    pub is_per_listener: bool,
    pub global: Settings,
    pub listeners: Vec<Section>,
    pub bridges: Vec<Bridge>,
    /// Whether Mosquitto would be there for its own machine only, and let everybody of it in.
    pub is_local: bool,
}

/// What is read so far.
struct Reader<'a> {
    mosquitto: Mosquitto,
    /// The default listener, which is there if anything is said about it.
    default: Settings,
    default_place: Option<Place>,
    findings: &'a mut Findings,
}

impl Mosquitto {
    pub fn read(lines: &[Line], findings: &mut Findings) -> Self {
        let mut reader =
            Reader { mosquitto: Self::default(), default: Settings::default(), default_place: None, findings };
        // It has to stand before everything that it changes the meaning of.
        let is_per_listener = |line: &&Line| line.name == "per_listener_settings";
        reader.mosquitto.is_per_listener =
            lines.iter().rfind(is_per_listener).and_then(|line| truth(&line.value)) == Some(true);
        lines.iter().for_each(|line| reader.take(line));
        reader.end()
    }

    /// The settings of security that count for a listener.
    pub fn security<'a>(&'a self, section: &'a Section) -> &'a Settings {
        if self.is_per_listener { &section.settings } else { &self.global }
    }
}

impl Reader<'_> {
    fn take(&mut self, line: &Line) {
        let mut mistake = |text: String| self.findings.add(Weight::Mistake, Some(&line.place), &line.name, text);
        let Some(known) = options::find(&line.name) else {
            return mistake(unknown(line));
        };
        if let Some(fault) = known.shape.fault(&line.value) {
            return mistake(format!("\"{}\" {fault}", line.value));
        }
        self.tell(line, known.answer);
        let given = Given { place: line.place.clone(), value: line.value.clone() };
        match (known.name, known.scope) {
            ("listener", _) => self.listener(line),
            ("connection", _) => {
                let (place, name) = (line.place.clone(), line.value.clone());
                self.mosquitto.bridges.push(Bridge { place, name, settings: Settings::default() });
            }
            ("port" | "bind_address" | "bind_interface", _) => self.say_of_default(known.name, given),
            (name, Scope::Global) => self.mosquitto.global.add(name, given),
            (name, Scope::Security) if !self.mosquitto.is_per_listener => self.mosquitto.global.add(name, given),
            (name, Scope::Security | Scope::Listener) => match self.mosquitto.listeners.last_mut() {
                Some(section) => section.settings.add(name, given),
                None => self.say_of_default(name, given),
            },
            (name, Scope::Bridge) => match self.mosquitto.bridges.last_mut() {
                Some(bridge) => bridge.settings.add(name, given),
                None => mistake_outside_bridge(self.findings, line),
            },
        }
    }

    fn say_of_default(&mut self, name: &'static str, given: Given) {
        // bind_interface belongs to the listener above it, if there is one.
        if let ("bind_interface", Some(section)) = (name, self.mosquitto.listeners.last_mut()) {
            return section.settings.add(name, given);
        }
        self.default_place.get_or_insert_with(|| given.place.clone());
        self.default.add(name, given);
    }

    /// What needs no translation.
    fn tell(&mut self, line: &Line, answer: Answer) {
        let (weight, text) = match answer {
            Answer::Translated => return,
            Answer::Missing(nothing_special, _) if line.value == nothing_special => return,
            Answer::Missing(_, text) => (Weight::Missing, text),
            Answer::Needless(text) => (Weight::Needless, text),
        };
        self.findings.add(weight, Some(&line.place), &line.name, text);
    }

    fn listener(&mut self, line: &Line) {
        let mut words = line.value.split_whitespace().take_while(|word| !word.starts_with('#'));
        let port = words.next().and_then(options::number).filter(|port| (0..=65_535).contains(port));
        let host = words.next().map(str::to_owned);
        match port {
            Some(port) if port > 0 || host.is_some() => {
                let (place, settings) = (line.place.clone(), Settings::default());
                self.mosquitto.listeners.push(Section { place, port, host, settings });
            }
            Some(_) | None => {
                let text =
                    format!("\"{}\" is no port from 1 to 65535; what follows it is left out with it", line.value);
                self.findings.add(Weight::Mistake, Some(&line.place), "listener", text);
                // So that what follows is not taken for the listener before.
                let (place, settings) = (line.place.clone(), Settings::default());
                self.mosquitto.listeners.push(Section { place, port: 0, host: None, settings });
            }
        }
    }

    fn end(mut self) -> Mosquitto {
        let mut mosquitto = std::mem::take(&mut self.mosquitto);
        let is_said = |name: &str| self.default.last(name).is_some();
        mosquitto.is_local = mosquitto.listeners.is_empty() && !is_said("port") && !is_said("bind_address");
        mosquitto.listeners.retain(|section| section.port > 0 || section.host.is_some());
        if let Some(place) = self.default_place.clone().filter(|_| self.has_default_listener()) {
            let port = self.default.text("port").and_then(options::number).unwrap_or(1883);
            let host = self.default.text("bind_address").map(str::to_owned);
            if !(1..=65_535).contains(&port) {
                let text = format!("{port} is no port from 1 to 65535; the listener is left out");
                self.findings.add(Weight::Mistake, Some(&place), "port", text);
                return mosquitto;
            }
            mosquitto.listeners.insert(0, Section { place, port, host, settings: self.default });
        }
        mosquitto
    }

    /// Settings of security alone do not make one, beside `password_file`, `psk_file` and plugins.
    fn has_default_listener(&mut self) -> bool {
        const NO_REASON: [&str; 4] = ["acl_file", "allow_anonymous", "auto_id_prefix", "allow_zero_length_clientid"];
        let mut rest = self.default.clone();
        rest.0.retain(|name, _| !NO_REASON.contains(name));
        if !rest.is_empty() {
            return true;
        }
        for (name, given) in &self.default.0 {
            let text = "stands before any listener, so that with per_listener_settings it says nothing of any";
            given.iter().for_each(|given| self.findings.add(Weight::Mistake, Some(&given.place), name, text));
        }
        false
    }
}

fn unknown(line: &Line) -> String {
    if line.name.contains('\t') {
        return "a tab does not end the name of an option; write a space behind it".to_owned();
    }
    if line.name.starts_with('#') {
        return "a comment has to begin in the first column".to_owned();
    }
    match options::nearest(&line.name) {
        Some(nearest) => format!("unknown option; did you mean {nearest}?"),
        None => "unknown option; Mosquitto 2.0 has none of this name".to_owned(),
    }
}

fn mistake_outside_bridge(findings: &mut Findings, line: &Line) {
    let text = "belongs to a bridge, and there is no connection line above it";
    findings.add(Weight::Mistake, Some(&line.place), &line.name, text);
}
