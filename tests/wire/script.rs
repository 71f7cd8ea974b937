//! The little language of the `sent` and `reply` columns, parsed before anything runs (tests/data/README.md has it).

use std::time::Duration;

#[derive(Debug)]
pub enum Step {
    Send {
        link: String,
        bytes: String,
    },
    /// One byte per write.
    SendSlowly {
        link: String,
        bytes: String,
    },
    /// The packet once for every number from 1 to Receive Maximum + 1, which stands where `$i` is.
    SendPastReceiveMaximum {
        link: String,
        bytes: String,
    },
    DropLink {
        link: String,
    },
    Wait(Duration),
    Expect(Expectation),
    /// A request for WebSocket that offers these subprotocols.
    Upgrade {
        link: String,
        offer: String,
    },
    /// One WebSocket frame.
    Frame {
        link: String,
        bytes: String,
        is_text: bool,
    },
}

#[derive(Debug)]
pub struct Expectation {
    /// More than one: exactly one of them gets the packet.
    pub links: Vec<String>,
    pub awaited: Awaited,
    pub text: String,
}

#[derive(Debug)]
pub enum Awaited {
    Closed,
    /// No PUBLISH, PUBREL or DISCONNECT; with a topic, none on that topic.
    Silence {
        topic: Option<String>,
    },
    Packet {
        kind: String,
        checks: Vec<Check>,
        any_order: bool,
    },
    /// One of these Subscription Identifiers per copy of the message, or all of them in one.
    SeparateCopies {
        kind: String,
        checks: Vec<Check>,
        identifiers: Vec<String>,
    },
    /// WebSocket with this subprotocol.
    WebSocket {
        protocol: String,
    },
}

#[derive(Clone, Debug)]
pub enum Check {
    Id(Number),
    /// One code per filter.
    Codes(Vec<u8>),
    CodeAmong(Vec<u8>),
    SessionPresent(u8),
    QoS(u8),
    Retain(u8),
    Dup(u8),
    Topic(Vec<u8>),
    TopicLength(usize),
    TopicOrAlias(Vec<u8>),
    Payload(Vec<u8>),
    Raw(Vec<u8>),
    HasProperty(u8),
    LacksProperty(u8),
    Property {
        id: u8,
        values: Vec<String>,
        unordered: bool,
    },
    PropertyAtMost {
        id: u8,
        value: String,
    },
    PropertyStored {
        id: u8,
        name: String,
    },
    Differ(String, String),
}

#[derive(Clone, Debug)]
pub enum Number {
    Fixed(u16),
    Named(String),
}

pub fn parse_steps(text: &str) -> Result<Vec<Step>, String> {
    text.split(" ; ").map(parse_step).collect()
}

fn parse_step(text: &str) -> Result<Step, String> {
    if let Some(seconds) = text.strip_prefix("wait ").and_then(|rest| rest.strip_suffix('s')) {
        let seconds: f64 = seconds.parse().map_err(|_| format!("bad wait `{text}`"))?;
        return Ok(Step::Wait(Duration::from_secs_f64(seconds)));
    }
    let at = text.find(['>', '<', '!', '|']).ok_or_else(|| format!("no action in `{text}`"))?;
    let (link, action) = (text[..at].to_owned(), &text[at..]);
    if action.starts_with('<') || action.starts_with('|') {
        return parse_expectation(text).map(Step::Expect);
    }
    if action == "!" {
        return Ok(Step::DropLink { link });
    }
    let (how, bytes) = action.split_once(' ').ok_or_else(|| format!("nothing to send in `{text}`"))?;
    let bytes = bytes.to_owned();
    match how {
        ">" => Ok(Step::Send { link, bytes }),
        ">slow" => Ok(Step::SendSlowly { link, bytes }),
        ">each" => {
            let bytes = bytes.strip_prefix("1..R+1 ").ok_or_else(|| format!("unknown range in `{text}`"))?.to_owned();
            Ok(Step::SendPastReceiveMaximum { link, bytes })
        }
        ">ws-open" => Ok(Step::Upgrade { link, offer: bytes }),
        ">ws-bin" => Ok(Step::Frame { link, bytes, is_text: false }),
        ">ws-text" => Ok(Step::Frame { link, bytes, is_text: true }),
        _ => Err(format!("unknown action `{how}`")),
    }
}

pub fn parse_expectation(text: &str) -> Result<Expectation, String> {
    let (links, wanted) = text.split_once("< ").ok_or_else(|| format!("no expectation in `{text}`"))?;
    let mut words = wanted.split(' ').filter(|word| !word.is_empty());
    let kind = words.next().ok_or_else(|| format!("nothing awaited in `{text}`"))?;
    let words: Vec<&str> = words.collect();
    let awaited = match kind {
        "closed" => Awaited::Closed,
        "none" => {
            Awaited::Silence { topic: words.iter().find_map(|word| word.strip_prefix("topic=")).map(str::to_owned) }
        }
        "ws-open" => Awaited::WebSocket { protocol: words.first().copied().unwrap_or_default().to_owned() },
        kind => parse_packet(kind, &words)?,
    };
    Ok(Expectation { links: links.split('|').map(str::to_owned).collect(), awaited, text: text.to_owned() })
}

fn parse_packet(kind: &str, words: &[&str]) -> Result<Awaited, String> {
    let kind = kind.to_owned();
    let flagged = |flag: &str| words.contains(&flag);
    let unordered = flagged("unordered");
    let is_flag = |word: &str| matches!(word, "any-order" | "unordered" | "extra-copies-ok" | "or-separate-copies");
    let mut checks = Vec::new();
    let mut identifiers = Vec::new();
    for word in words.iter().filter(|word| !is_flag(word)) {
        match word.strip_prefix("p0b=") {
            Some(values) if flagged("or-separate-copies") => identifiers = listed(values),
            _ => checks.push(parse_check(word, unordered)?),
        }
    }
    if flagged("or-separate-copies") {
        return Ok(Awaited::SeparateCopies { kind, checks, identifiers });
    }
    // A lower copy may come first where more copies are allowed, so the wanted one is looked for behind it.
    Ok(Awaited::Packet { kind, checks, any_order: flagged("any-order") || flagged("extra-copies-ok") })
}

fn parse_check(word: &str, unordered: bool) -> Result<Check, String> {
    let bad = || format!("bad check `{word}`");
    if let Some((one, other)) = word.split_once("!=") {
        let name = |text: &str| text.strip_prefix('$').map(str::to_owned).ok_or_else(bad);
        return Ok(Check::Differ(name(one)?, name(other)?));
    }
    if let Some((key, value)) = word.split_once("<=") {
        return Ok(Check::PropertyAtMost { id: property_key(key).ok_or_else(bad)?, value: value.to_owned() });
    }
    let (key, value) = word.split_once('=').ok_or_else(bad)?;
    let flag = || value.parse::<u8>().map_err(|_| bad());
    Ok(match key {
        "id" => Check::Id(match value.strip_prefix('$') {
            Some(name) => Number::Named(name.to_owned()),
            None => Number::Fixed(value.parse().map_err(|_| bad())?),
        }),
        "rc" if value.contains('|') => Check::CodeAmong(codes(value, '|').ok_or_else(bad)?),
        "rc" => Check::Codes(codes(value, ',').ok_or_else(bad)?),
        "sp" => Check::SessionPresent(flag()?),
        "qos" => Check::QoS(flag()?),
        "retain" => Check::Retain(flag()?),
        "dup" => Check::Dup(flag()?),
        "topic" => match (value.strip_prefix("len:"), value.strip_prefix("hex:")) {
            (Some(length), _) => Check::TopicLength(length.parse().map_err(|_| bad())?),
            (_, Some(bytes)) => Check::Topic(hex(bytes).ok_or_else(bad)?),
            (None, None) => Check::Topic(value.as_bytes().to_vec()),
        },
        "topic-or-alias" => Check::TopicOrAlias(value.as_bytes().to_vec()),
        "payload" if value == "-" => Check::Payload(Vec::new()),
        "payload" => Check::Payload(hex(value).ok_or_else(bad)?),
        "raw" => Check::Raw(hex(value).ok_or_else(bad)?),
        "has" => Check::HasProperty(hex_byte(value).ok_or_else(bad)?),
        "lacks" => Check::LacksProperty(hex_byte(value).ok_or_else(bad)?),
        key => {
            let id = property_key(key).ok_or_else(bad)?;
            match value.strip_prefix('$') {
                Some(name) => Check::PropertyStored { id, name: name.to_owned() },
                None => Check::Property { id, values: listed(value), unordered },
            }
        }
    })
}

fn listed(values: &str) -> Vec<String> {
    values.split(',').map(str::to_owned).collect()
}

fn property_key(key: &str) -> Option<u8> {
    hex_byte(key.strip_prefix('p')?)
}

fn codes(value: &str, separator: char) -> Option<Vec<u8>> {
    value.split(separator).map(|code| hex_byte(code.strip_prefix("0x")?)).collect()
}

fn hex_byte(text: &str) -> Option<u8> {
    u8::from_str_radix(text, 16).ok()
}

pub fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| hex_byte(&text[at..at + 2])).collect()
}

/// The bytes a HEX argument stands for: groups of hex digits, `xx*N` for N times the byte xx.
pub fn expand(bytes: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for group in bytes.split(' ').filter(|group| !group.is_empty()) {
        let bad = || format!("bad bytes `{group}`");
        match group.split_once('*') {
            Some((byte, times)) => {
                let times: usize = times.parse().map_err(|_| bad())?;
                out.extend(std::iter::repeat_n(hex_byte(byte).ok_or_else(bad)?, times));
            }
            None => out.extend(hex(group).ok_or_else(bad)?),
        }
    }
    Ok(out)
}
