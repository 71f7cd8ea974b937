//! Listeners: where they listen, as what, and how many they let in.
use super::draft::{Block, Draft, Entry};
use super::finding::{Findings, Weight};
use super::options;
use super::proofs::Proofs;
use super::sections::{Mosquitto, Section};
use super::tls;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use toml::Value;

/// Finds the addresses of a host name.
pub type Resolve<'a> = &'a dyn Fn(&str) -> Vec<IpAddr>;

/// Writes all listeners, with the ways to prove who one is that they need.
pub fn translate(mosquitto: &Mosquitto, resolve: Resolve, draft: &mut Draft, findings: &mut Findings) {
    let mut proofs = Proofs::new(mosquitto);
    if mosquitto.listeners.is_empty() && mosquitto.is_local {
        let said = "Mosquitto without any listener is there for this machine only, and lets everybody of it in.";
        for (index, address) in ["127.0.0.1:1883", "[::1]:1883"].into_iter().enumerate() {
            let comments = if index == 0 { vec![said.to_owned()] } else { Vec::new() };
            let entries = vec![Entry::plain("address", address), Entry::plain("allow_anonymous", true)];
            let mut block = Block { comments, entries, ..Block::default() };
            proofs.choose_without_listener(&mut block);
            draft.listeners.push(block);
        }
    }
    for section in &mosquitto.listeners {
        let mut writer = Writer { mosquitto, section, findings, block: Block::default() };
        writer.write(&mut proofs);
        let Writer { block, .. } = writer;
        let places = places(section, resolve, findings);
        draft.listeners.extend(places.into_iter().map(|place| place.put_first(block.clone(), section)));
    }
    proofs.end(draft);
}

struct Writer<'a> {
    mosquitto: &'a Mosquitto,
    section: &'a Section,
    findings: &'a mut Findings,
    block: Block,
}

impl Writer<'_> {
    fn write(&mut self, proofs: &mut Proofs) {
        let Section { place, port, host, .. } = self.section;
        let host = host.as_deref().map(|host| format!(" {host}")).unwrap_or_default();
        self.block.comments.push(format!("{place}: listener {port}{host}"));
        let security = self.mosquitto.security(self.section);
        let anonymous = self.mosquitto.is_local || security.is_true("allow_anonymous");
        self.block.entries.push(Entry::plain("allow_anonymous", anonymous));
        self.protocol();
        self.numbers();
        self.without_equivalent();
        tls::translate(self.section, security, self.findings, &mut self.block);
        proofs.choose(self.section, anonymous, self.findings, &mut self.block);
        for why in &self.block.shut {
            self.findings.add(Weight::Shut, Some(place), "listener", why.clone());
        }
    }

    fn protocol(&mut self) {
        let Some(given) = self.section.settings.last("protocol") else { return };
        match given.value.as_str() {
            "mqtt" => {}
            "websockets" => {
                let websocket = Entry::from("websocket", true, &given.place, "protocol", "websockets");
                self.block.entries.push(websocket);
                let text = "clients are taken at the path /mqtt only, where Mosquitto takes them at any; others need \
                            websocket_path";
                self.findings.add(Weight::Differs, Some(&given.place), "protocol websockets", text);
            }
            other => {
                let text = format!("\"{other}\" is neither mqtt nor websockets, which are there to choose from");
                self.findings.add(Weight::Mistake, Some(&given.place), "protocol", text);
                self.block.shut.push(format!("it is not known what protocol {other} is"));
            }
        }
    }

    fn numbers(&mut self) {
        let Some(given) = self.section.settings.last("max_connections") else { return };
        // -1, and anything else below 0, sets no limit, which is 0 here.
        let Some(count) = options::number(&given.value).filter(|count| *count >= 0) else { return };
        if count == 0 {
            self.block.shut.push("max_connections 0 lets nobody in".to_owned());
        } else {
            let limit = Entry::from("connections_max", count, &given.place, "max_connections", &given.value);
            self.block.entries.push(limit);
        }
    }

    fn without_equivalent(&mut self) {
        let settings = &self.section.settings;
        if let Some(given) = settings.last("mount_point") {
            let why = "mount_point gives its clients a tree of topics of their own, and there is none; keep them apart \
                       with access rules (docs/ACCESS.md), or in a second broker";
            self.block.shut.push(why.to_owned());
            self.findings.add(Weight::Missing, Some(&given.place), "mount_point", why);
        }
        if let Some(given) = settings.last("bind_interface") {
            let why = "bind_interface names a network interface; write the interface's address in its place";
            self.block.shut.push(why.to_owned());
            self.findings.add(Weight::Missing, Some(&given.place), "bind_interface", why);
        }
        let is_guarded_by_plugin = |name: &&str| self.mosquitto.security(self.section).last(name).is_some();
        let plugin = ["plugin", "auth_plugin"].into_iter().find(is_guarded_by_plugin);
        let is_global = self.mosquitto.global.last("global_plugin").is_some();
        if plugin.is_some() || is_global {
            let why = "a plugin decides who may come in and what is allowed, and there are no plugins; write an \
                       [[authenticator]] (docs/AUTHENTICATION.md) and access rules (docs/ACCESS.md) first";
            self.block.shut.push(why.to_owned());
        }
    }
}

/// One place to listen at.
enum At {
    Address(SocketAddr),
    Unix(String),
    Unknown(String),
}

fn places(section: &Section, resolve: Resolve, findings: &mut Findings) -> Vec<At> {
    let port = u16::try_from(section.port).unwrap_or_default();
    if port == 0 {
        return vec![At::Unix(section.host.clone().unwrap_or_default())];
    }
    let domain = section.settings.text("socket_domain");
    let is_wanted = |address: &IpAddr| match domain {
        Some("ipv4") => address.is_ipv4(),
        Some("ipv6") => address.is_ipv6(),
        _ => true,
    };
    if let Some(given) = section.settings.last("socket_domain")
        && !["ipv4", "ipv6"].contains(&given.value.as_str())
    {
        let text = format!("\"{}\" is neither ipv4 nor ipv6; both are listened on", given.value);
        findings.add(Weight::Mistake, Some(&given.place), "socket_domain", text);
    }
    let addresses: Vec<IpAddr> = match section.host.as_deref() {
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        Some(host) => match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => resolve(host),
        },
    };
    if let Some(host) = section.host.as_deref().filter(|host| host.parse::<IpAddr>().is_err() && !is_local_name(host)) {
        let text = format!("listeners are written with addresses, which were looked up for {host}; see that they stay");
        findings.add(Weight::Differs, Some(&section.place), "listener", text);
    }
    let found: Vec<At> =
        addresses.into_iter().filter(is_wanted).map(|ip| At::Address(SocketAddr::new(ip, port))).collect();
    if !found.is_empty() {
        return found;
    }
    let host = section.host.clone().unwrap_or_default();
    findings.add(Weight::Shut, Some(&section.place), "listener", format!("no address was found for {host}"));
    vec![At::Unknown(format!("{host}:{port}"))]
}

fn is_local_name(host: &str) -> bool {
    host == "localhost"
}

impl At {
    /// The block with the place it listens at, and what has to be said for an open one.
    fn put_first(self, mut block: Block, section: &Section) -> Block {
        let mut first = match &self {
            Self::Address(address) => vec![Entry::plain("address", address.to_string())],
            Self::Unix(path) => vec![Entry::plain("unix", path.clone())],
            Self::Unknown(name) => {
                block.shut.push(format!("write the address of {name}, which was not found"));
                vec![Entry::plain("address", name.clone())]
            }
        };
        if let Self::Address(address) = &self
            && address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
            && section.host.is_none()
        {
            block.comments.push("The same over IPv6; take it out where there is no IPv6.".to_owned());
        }
        if let Self::Address(address) = &self
            && let Some(warning) = openness(*address, &block)
        {
            first.push(Entry::new("i_know_this_is_open", true, warning));
        }
        block.entries.splice(0..0, first);
        block
    }
}

/// What has to be said for it to be as open as it was.
fn openness(address: SocketAddr, block: &Block) -> Option<&'static str> {
    let says = |entries: &[Entry], key: &str, value: Value| {
        entries.iter().any(|entry| entry.key == key && entry.value == value)
    };
    let is_anonymous = says(&block.entries, "allow_anonymous", true.into())
        && !says(&block.tls, "client_certificate", "required".into());
    if address.ip().is_loopback() {
        None
    } else if is_anonymous {
        Some("It lets in everybody who can reach it, as before: give clients users, and take this line out.")
    } else if block.tls.is_empty() {
        Some(
            "Passwords and messages cross the network in the clear, as before: add [listener.tls], and take this line out.",
        )
    } else {
        None
    }
}

/// The listeners that are open to others, told once each.
pub fn tell_open(draft: &Draft, findings: &mut Findings) {
    for block in draft.listeners.iter().filter(|block| block.shut.is_empty()) {
        let Some(warning) = block.entries.iter().find(|entry| entry.key == "i_know_this_is_open") else { continue };
        let address = block.entries.first().and_then(|entry| entry.value.as_str()).unwrap_or_default();
        findings.add(Weight::Open, None, address, warning.comments.concat());
    }
}
