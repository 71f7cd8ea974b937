//! One publishing client: what it may send now, and what acknowledgements let it send next.
use super::stamp::Stamp;
use super::wire::{PUBACK, PUBCOMP, PUBREC, PUBREL, Template, put_ack, u16_at};

pub struct Publisher {
    template: Template,
    /// Messages of one stream arrive in the order they were sent.
    pub stream: u32,
    qos: u8,
    pace: Pace,
    /// Messages it may have unacknowledged; meaningless at QoS 0.
    window: u32,
    /// Deliveries of its messages that may be under way.
    ahead_max: u64,
    /// Deliveries that one message becomes.
    copies: u64,
    /// Messages it may send yet.
    pub remaining: u32,
    pub sent: u32,
    in_flight: u32,
    pub refused: u64,
    /// Deliveries given up, so that losses do not stop the flow.
    forgiven: u64,
}

/// When a publisher sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As soon as its window lets it.
    Eager,
    /// At its times, whether or not the broker keeps up; ages count from the time a message was due.
    Scheduled { first_ns: f64, every_ns: f64 },
}

/// What limits one publisher.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub window: u32,
    pub ahead_max: u64,
    pub copies: u64,
    pub count: u32,
}

/// Beyond it nothing is prepared until the socket has taken some.
const UNSENT_BYTES_MAX: usize = 64 << 10;
/// Scheduled messages wait in the tool up to here, since they are due whether or not the socket takes them.
const SCHEDULED_UNSENT_BYTES_MAX: usize = 16 << 20;

impl Publisher {
    pub fn new(template: Template, stream: u32, qos: u8, limits: Limits, pace: Pace) -> Self {
        let Limits { window, ahead_max, copies, count } = limits;
        Self {
            template,
            stream,
            qos,
            pace,
            window,
            ahead_max,
            copies,
            remaining: count,
            sent: 0,
            in_flight: 0,
            refused: 0,
            forgiven: 0,
        }
    }

    /// Sets the first time of a schedule that was relative to the start.
    pub fn begin(&mut self, now_ns: u64) {
        if let Pace::Scheduled { first_ns, .. } = &mut self.pace {
            *first_ns += now_ns as f64;
        }
    }

    pub fn is_settled(&self) -> bool {
        self.in_flight == 0
    }

    /// The time the next message is due, in nanoseconds.
    #[inline]
    pub fn due_ns(&self) -> Option<u64> {
        match self.pace {
            Pace::Eager => None,
            Pace::Scheduled { first_ns, every_ns } => Some((first_ns + every_ns * f64::from(self.sent)) as u64),
        }
    }

    /// Appends all messages it may send now; how many. `delivered` counts deliveries of its messages so far.
    pub fn produce(&mut self, out: &mut Vec<u8>, unsent: usize, now_ns: u64, delivered: u64) -> u32 {
        let room = self.room(unsent, delivered);
        let mut produced = 0;
        while produced < room {
            let at_ns = self.due_ns().unwrap_or(now_ns);
            if at_ns > now_ns {
                break;
            }
            // Identifiers come round long before 65,535 messages are in flight.
            let id = (self.sent % 65_535) as u16 + 1;
            self.template.put(out, id, Stamp { stream: self.stream, sequence: self.sent, at_ns });
            self.sent += 1;
            produced += 1;
        }
        self.remaining -= produced;
        if self.qos > 0 {
            self.in_flight += produced;
        }
        produced
    }

    /// Whether an eager one was only held up by what one write takes.
    pub fn wants_more(&self, unsent: usize, delivered: u64) -> bool {
        self.pace == Pace::Eager && self.room(unsent, delivered) > 0
    }

    fn room(&self, unsent: usize, delivered: u64) -> u32 {
        let unsent_max = if self.pace == Pace::Eager { UNSENT_BYTES_MAX } else { SCHEDULED_UNSENT_BYTES_MAX };
        let length = self.template.len();
        let by_bytes = if unsent == 0 { unsent_max / length + 1 } else { unsent_max.saturating_sub(unsent) / length };
        let mut room = self.remaining.min(u32::try_from(by_bytes).unwrap_or(u32::MAX));
        if self.qos > 0 {
            room = room.min(self.window.saturating_sub(self.in_flight));
        }
        if self.ahead_max < u64::MAX {
            let under_way = (u64::from(self.sent) * self.copies).saturating_sub(delivered + self.forgiven);
            let ahead = self.ahead_max.saturating_sub(under_way) / self.copies;
            room = room.min(u32::try_from(ahead).unwrap_or(u32::MAX));
        }
        room
    }

    /// Counts what has not arrived as lost, so that the flow goes on.
    pub fn forgive(&mut self, delivered: u64) {
        self.forgiven = (u64::from(self.sent) * self.copies).saturating_sub(delivered);
    }

    /// Takes an acknowledgement; false if it is none.
    #[inline]
    pub fn take(&mut self, first: u8, body: &[u8], out: &mut Vec<u8>) -> bool {
        // The code is left out when it is success, and does not exist before 5.0.
        let is_refused = body.get(2).is_some_and(|code| *code >= 0x80);
        match first {
            PUBACK | PUBCOMP => self.in_flight = self.in_flight.saturating_sub(1),
            PUBREC if is_refused => self.in_flight = self.in_flight.saturating_sub(1),
            PUBREC => put_ack(out, PUBREL, u16_at(body, 0).unwrap_or(0)),
            _ => return false,
        }
        self.refused += u64::from(is_refused);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Frame;
    use super::*;
    use vowmq::packet::Version;
    use vowmq::types::QoS;

    fn publisher(qos: QoS, limits: Limits, pace: Pace) -> Publisher {
        Publisher::new(Template::new("a", qos, false, &[], Version::V5), 0, qos as u8, limits, pace)
    }

    fn packets(mut out: &[u8]) -> usize {
        let mut count = 0;
        while let Some(frame) = Frame::cut(out) {
            out = &out[frame.end..];
            count += 1;
        }
        count
    }

    const LIMITS: Limits = Limits { window: 10, ahead_max: u64::MAX, copies: 1, count: u32::MAX };

    #[test]
    fn a_window_opens_by_acknowledgements_alone() {
        let mut publisher = publisher(QoS::AtLeastOnce, LIMITS, Pace::Eager);
        let mut out = Vec::new();
        assert_eq!(publisher.produce(&mut out, 0, 5, 0), 10);
        assert_eq!(packets(&out), 10);
        assert_eq!(publisher.produce(&mut out, 0, 5, 10), 0);
        assert!(publisher.take(PUBACK, &[0, 1], &mut out));
        assert!(publisher.take(PUBACK, &[0, 2, 0x97], &mut out));
        assert_eq!(publisher.produce(&mut out, 0, 5, 10), 2);
        assert_eq!(publisher.refused, 1);
    }

    #[test]
    fn exactly_once_is_done_at_the_second_acknowledgement() {
        let mut publisher = publisher(QoS::ExactlyOnce, LIMITS, Pace::Eager);
        let mut out = Vec::new();
        publisher.produce(&mut out, 0, 5, 0);
        out.clear();
        assert!(publisher.take(PUBREC, &[0, 1], &mut out));
        assert_eq!(out, [PUBREL, 2, 0, 1]);
        assert_eq!(publisher.produce(&mut Vec::new(), 0, 5, 0), 0);
        assert!(publisher.take(PUBCOMP, &[0, 1], &mut out));
        assert_eq!(publisher.produce(&mut Vec::new(), 0, 5, 0), 1);
    }

    #[test]
    fn without_acknowledgements_arrivals_open_the_window() {
        let limits = Limits { ahead_max: 6, copies: 3, ..LIMITS };
        let mut publisher = publisher(QoS::AtMostOnce, limits, Pace::Eager);
        let mut out = Vec::new();
        assert_eq!(publisher.produce(&mut out, 0, 5, 0), 2);
        assert_eq!(publisher.produce(&mut out, 0, 5, 2), 0);
        assert_eq!(publisher.produce(&mut out, 0, 5, 3), 1);
        publisher.forgive(3);
        assert_eq!(publisher.produce(&mut out, 0, 5, 3), 2);
    }

    #[test]
    fn a_schedule_is_kept_and_its_times_are_written() {
        let pace = Pace::Scheduled { first_ns: 100.0, every_ns: 50.0 };
        let mut publisher = publisher(QoS::AtMostOnce, LIMITS, pace);
        publisher.begin(1000);
        let mut out = Vec::new();
        assert_eq!(publisher.produce(&mut out, 0, 1099, 0), 0);
        assert_eq!(publisher.produce(&mut out, 0, 1210, 0), 3);
        assert_eq!(publisher.due_ns(), Some(1250));
    }

    #[test]
    fn no_more_than_the_count_is_sent() {
        let mut publisher = publisher(QoS::AtMostOnce, Limits { count: 3, ..LIMITS }, Pace::Eager);
        assert_eq!(publisher.produce(&mut Vec::new(), 0, 0, 0), 3);
        assert_eq!(publisher.produce(&mut Vec::new(), 0, 0, 0), 0);
    }
}
