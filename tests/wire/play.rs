//! Performs one case against a broker and says how it went.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::case::Case;
use super::check::{Seen, matches};
use super::link::{Inbox, Link};
use super::packet::Packet;
use super::script::{Awaited, Check, Expectation, Step, expand};
use super::websocket;

const PACKET_WITHIN: Duration = Duration::from_secs(2);
const CLOSED_WITHIN: Duration = Duration::from_secs(3);
const REACTION_WITHIN: Duration = Duration::from_millis(2_500);
const SILENT_FOR: Duration = Duration::from_secs(1);
const COPIES_FOR: Duration = Duration::from_millis(500);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
const RECEIVE_MAXIMUM: u8 = 0x21;

#[derive(Debug)]
pub enum Outcome {
    Passed,
    /// Another reaction than the one named first, which the standard's wording leaves open.
    PassedOtherwise(String),
    Failed(String),
}

pub fn play(case: &Case, address: SocketAddr) -> Outcome {
    let mut play = Play { case, address, links: BTreeMap::new(), seen: Seen::new(), receive_maximum: u16::MAX };
    for step in &case.sent {
        if let Err(why) = play.perform(step) {
            return Outcome::Failed(why);
        }
    }
    play.judge()
}

struct Play<'a> {
    case: &'a Case,
    address: SocketAddr,
    links: BTreeMap<String, Link>,
    seen: Seen,
    receive_maximum: u16,
}

impl Play<'_> {
    fn perform(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Wait(time) => thread::sleep(*time),
            Step::Expect(expectation) => self.expect(expectation)?,
            Step::DropLink { link } => self.link(link)?.drop_connection(),
            Step::Send { link, bytes } => {
                let bytes = self.bytes(bytes)?;
                self.link_for(link, &bytes)?.send(&bytes);
            }
            Step::SendSlowly { link, bytes } => {
                let bytes = self.bytes(bytes)?;
                self.link_for(link, &bytes)?.send_slowly(&bytes);
            }
            Step::SendPastReceiveMaximum { link, bytes } => {
                for number in 1..=u32::from(self.receive_maximum) + 1 {
                    // One more than the largest packet identifier wraps to one that is in flight, which counts as well.
                    let number = u16::try_from(number).unwrap_or(1);
                    let packet = expand(&bytes.replace("$i", &format!("{number:04x}")))?;
                    self.link(link)?.send(&packet);
                }
            }
            Step::Upgrade { link, offer } => {
                let link = self.link_for(link, &[])?;
                link.speak_websocket();
                link.send(&websocket::request(offer));
                // Before the answer a client may not send frames (RFC 6455 section 4.1).
                let answered = link.wait(PACKET_WITHIN, |inbox| inbox.subprotocol());
                answered.ok_or_else(|| "the broker did not agree to WebSocket".to_owned())?;
            }
            Step::Frame { link, bytes, is_text } => {
                let bytes = self.bytes(bytes)?;
                self.link_for(link, &bytes)?.send(&websocket::frame(*is_text, &bytes));
            }
        }
        Ok(())
    }

    fn bytes(&self, template: &str) -> Result<Vec<u8>, String> {
        let filled =
            self.seen.iter().fold(template.to_owned(), |text, (name, hex)| text.replace(&format!("${name}"), hex));
        expand(&filled)
    }

    fn link(&mut self, name: &str) -> Result<&mut Link, String> {
        self.links.get_mut(name).ok_or_else(|| format!("connection {name} is not open"))
    }

    /// The connection these bytes go to, opened by the first of them and told how to read the replies.
    fn link_for(&mut self, name: &str, bytes: &[u8]) -> Result<&mut Link, String> {
        if !self.links.contains_key(name) {
            self.links.insert(name.to_owned(), Link::open(self.address)?);
        }
        let version_5 = bytes.first().is_some_and(|first| first >> 4 == 1) && self.asks_for_version_5(bytes);
        let link = self.link(name)?;
        if version_5 {
            link.speak_version_5();
        }
        Ok(link)
    }

    fn asks_for_version_5(&self, connect: &[u8]) -> bool {
        let case_is_5 = self.case.row.version == "5";
        match connect.windows(4).position(|name| name == b"MQTT").and_then(|at| connect.get(at + 4)) {
            Some(level) => *level == 5 || (case_is_5 && *level != 4),
            None => case_is_5,
        }
    }

    fn expect(&mut self, expectation: &Expectation) -> Result<(), String> {
        let links: Vec<&Link> = expectation
            .links
            .iter()
            .map(|name| self.links.get(name).ok_or_else(|| format!("connection {name} is not open")))
            .collect::<Result<_, _>>()?;
        let text = &expectation.text;
        let result = match (&expectation.awaited, links.as_slice()) {
            (Awaited::Packet { kind, checks, any_order }, [link]) => {
                let packet = expect_packet(link, kind, checks, *any_order, &mut self.seen);
                if let Ok(packet) = &packet
                    && packet.kind == "CONNACK"
                {
                    let announced = packet.property(RECEIVE_MAXIMUM);
                    self.receive_maximum =
                        announced.first().and_then(|hex| u16::from_str_radix(hex, 16).ok()).unwrap_or(u16::MAX);
                }
                packet.map(drop)
            }
            (Awaited::Packet { kind, checks, .. }, links) => expect_at_one(links, kind, checks, &mut self.seen),
            (Awaited::Closed, [link]) => {
                let closed = link.wait(CLOSED_WITHIN, |inbox| inbox.closed.then_some(()));
                closed.ok_or_else(|| "still open".to_owned())
            }
            (Awaited::Silence { topic }, [link]) => expect_silence(link, topic.as_deref()),
            (Awaited::SeparateCopies { kind, checks, identifiers }, [link]) => {
                expect_copies(link, kind, checks, identifiers, &mut self.seen)
            }
            (Awaited::WebSocket { protocol }, [link]) => {
                let selected = link.wait(PACKET_WITHIN, |inbox| inbox.subprotocol());
                match selected {
                    Some(selected) if selected == *protocol => Ok(()),
                    other => Err(format!("the subprotocol {other:?} was selected")),
                }
            }
            (
                Awaited::WebSocket { .. } | Awaited::Closed | Awaited::Silence { .. } | Awaited::SeparateCopies { .. },
                _,
            ) => Err("this cannot be awaited here".to_owned()),
        };
        result.map_err(|why| format!("{}: {why}", shortened(text)))
    }

    fn judge(&mut self) -> Outcome {
        let expected = self.case.row.expected.as_str();
        let also_ok = |reaction: &str| self.case.also_ok.iter().any(|other| other == reaction);
        if expected == "accept" {
            let Err(why) = self.replies() else { return Outcome::Passed };
            let reaction = self.reaction();
            return if also_ok(&reaction) {
                Outcome::PassedOtherwise(reaction)
            } else {
                Outcome::Failed(format!("{why} | reaction: {reaction}"))
            };
        }
        let reaction = self.reaction();
        if let Err(why) = self.replies() {
            return Outcome::Failed(format!("{why} | reaction: {reaction}"));
        }
        if reaction == expected {
            return Outcome::Passed;
        }
        let also_ok = |reaction: &str| self.case.also_ok.iter().any(|other| other == reaction);
        if also_ok(&reaction) {
            return Outcome::PassedOtherwise(reaction);
        }
        if reaction.starts_with("open") && also_ok("accept") {
            return Outcome::PassedOtherwise("accept".to_owned());
        }
        Outcome::Failed(format!("expected {expected}, got {reaction}"))
    }

    fn replies(&mut self) -> Result<(), String> {
        let case = self.case;
        case.reply.iter().try_for_each(|expectation| self.expect(expectation))
    }

    /// What the broker did to connection A, in the words of the `expected` column.
    fn reaction(&self) -> String {
        let Some(link) = self.links.get("A").filter(|link| !link.dropped_by_us) else { return "?".to_owned() };
        link.wait(REACTION_WITHIN, |inbox| inbox.closed.then_some(()));
        let inbox = link.inbox();
        let last = |kind: &str| inbox.packets.iter().rfind(|packet| packet.kind == kind);
        let refusal = last("CONNACK").and_then(|packet| packet.codes.first()).filter(|code| **code != 0);
        if let (Some(code), true) = (refusal, inbox.closed) {
            return format!("connack 0x{code:02x}");
        }
        if let Some(code) = last("DISCONNECT").and_then(|packet| packet.codes.first()) {
            return format!("disconnect 0x{code:02x}{}", if inbox.closed { "" } else { ", not closed" });
        }
        let failed =
            |packet: &&Packet| packet.kind == "SUBACK" && packet.codes.last().is_some_and(|code| *code >= 0x80);
        if let Some(code) = inbox.packets.iter().rfind(failed).and_then(|packet| packet.codes.last()) {
            return format!("suback 0x{code:02x}");
        }
        if inbox.closed { "close".to_owned() } else { format!("open, unread: {}", unread(&inbox)) }
    }
}

fn expect_packet(
    link: &Link,
    kind: &str,
    checks: &[Check],
    any_order: bool,
    seen: &mut Seen,
) -> Result<Packet, String> {
    let mut why = None;
    let found = link.wait(PACKET_WITHIN, |inbox| {
        for at in 0..inbox.packets.len() {
            if inbox.packets[at].kind != kind {
                continue;
            }
            match matches(&inbox.packets[at], checks, seen) {
                Ok(()) => return Some(Ok(inbox.packets.remove(at))),
                Err(mismatch) if any_order => why = Some(mismatch),
                Err(mismatch) => return Some(Err(mismatch)),
            }
        }
        inbox.closed.then(|| Err(format!("closed; {}; unread: {}", why.take().unwrap_or_default(), unread(inbox))))
    });
    found
        .unwrap_or_else(|| Err(format!("did not come; {}; unread: {}", why.unwrap_or_default(), unread(&link.inbox()))))
}

fn expect_at_one(links: &[&Link], kind: &str, checks: &[Check], seen: &mut Seen) -> Result<(), String> {
    let deadline = Instant::now() + PACKET_WITHIN;
    while Instant::now() < deadline {
        for link in links {
            let mut inbox = link.inbox();
            let found =
                inbox.packets.iter().position(|packet| packet.kind == kind && matches(packet, checks, seen).is_ok());
            if let Some(at) = found {
                inbox.packets.remove(at);
                return Ok(());
            }
        }
        thread::sleep(LOOK_AGAIN_AFTER);
    }
    Err("came on none of them".to_owned())
}

fn expect_silence(link: &Link, topic: Option<&str>) -> Result<(), String> {
    let heard = link.wait(SILENT_FOR, |inbox| {
        let speaks = |packet: &&Packet| {
            let counts = matches!(packet.kind, "PUBLISH" | "PUBREL" | "DISCONNECT");
            counts && topic.is_none_or(|topic| packet.topic.as_deref() == Some(topic.as_bytes()))
        };
        inbox.packets.iter().find(speaks).map(Packet::brief)
    });
    heard.map_or(Ok(()), |packet| Err(format!("unexpected {packet}")))
}

fn expect_copies(
    link: &Link,
    kind: &str,
    checks: &[Check],
    identifiers: &[String],
    seen: &mut Seen,
) -> Result<(), String> {
    const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
    thread::sleep(COPIES_FOR);
    let mut got = Vec::new();
    for packet in link.inbox().packets.iter().filter(|packet| packet.kind == kind) {
        matches(packet, checks, seen)?;
        got.extend(packet.property(SUBSCRIPTION_IDENTIFIER));
    }
    let mut want = identifiers.to_vec();
    got.sort();
    want.sort();
    if got == want { Ok(()) } else { Err(format!("Subscription Identifiers {got:?}, not {want:?}")) }
}

fn unread(inbox: &Inbox) -> String {
    inbox.packets.iter().map(Packet::brief).collect::<Vec<_>>().join(", ")
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(120).map_or(text, |(end, _)| &text[..end])
}
