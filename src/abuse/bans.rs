//! Failed logins, and who is kept out for them.
use super::Ledger;
use crate::types::{Now, Text};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// How many logins may fail, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Logins of one user from one address that may fail within the window; 0 bans nobody.
    pub failures_max: u32,
    /// Logins from one address, which many users may share, that may fail; 0 bans none.
    pub address_failures_max: u32,
    pub window_ms: u64,
    /// The first ban; each that follows within the longest one doubles it.
    pub ban_ms: u64,
    pub ban_ms_max: u64,
}

/// Who is kept out: an address, or one user name from one address. A name is never kept out for everybody, or anybody
/// could lock its owner out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Offender {
    Address(IpAddr),
    Login(IpAddr, Text),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    pub offender: Offender,
    pub until: Now,
    /// Whether an operator set it.
    pub is_manual: bool,
}

#[derive(Debug)]
struct Record {
    failures: u32,
    window_ends: Now,
    banned_until: Now,
    /// The length of the next ban, and until when it counts.
    next_ban_ms: u64,
    remembered_until: Now,
}

#[derive(Debug)]
pub struct Bans {
    rules: Rules,
    records: Ledger<Offender, Record>,
    /// Until when an operator keeps whom out. Never given up for others.
    manual: HashMap<Offender, Now>,
}

/// Bans of operators at one time.
pub const MANUAL_MAX: usize = 10_000;

/// There are [`MANUAL_MAX`] bans of operators already.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyBans;

/// One customer has many addresses of IPv6: they count as one.
fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl Offender {
    pub fn address(address: IpAddr) -> Self {
        Self::Address(grouped(address))
    }

    pub fn login(address: IpAddr, user: &Text) -> Self {
        Self::Login(grouped(address), user.detached())
    }
}

impl fmt::Display for Offender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = |formatter: &mut fmt::Formatter<'_>, address: &IpAddr| match address {
            IpAddr::V4(address) => write!(formatter, "{address}"),
            IpAddr::V6(address) => write!(formatter, "{address}/64"),
        };
        match self {
            Self::Address(address) => network(formatter, address),
            Self::Login(address, user) => {
                write!(formatter, "{user} from ")?;
                network(formatter, address)
            }
        }
    }
}

impl Bans {
    pub fn new(rules: Rules, entries_max: usize) -> Self {
        Self { rules, records: Ledger::new(entries_max), manual: HashMap::new() }
    }

    /// Rules for what comes from now on.
    pub fn change(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// Until when somebody is kept out, if so.
    pub fn banned_until(&self, offender: &Offender, now: Now) -> Option<Now> {
        let earned = self.records.get(offender).map(|record| record.banned_until);
        let manual = self.manual.get(offender).copied();
        earned.into_iter().chain(manual).filter(|until| *until > now).max()
    }

    /// Counts a login that failed. Gives the end of the ban if it is one too many.
    pub fn failed(&mut self, offender: Offender, now: Now) -> Option<Now> {
        let rules = self.rules;
        let failures_max = match &offender {
            Offender::Address(_) => rules.address_failures_max,
            Offender::Login(..) => rules.failures_max,
        };
        if failures_max == 0 {
            return None;
        }
        let record = self.record(offender, now);
        if record.window_ends <= now {
            record.failures = 0;
            record.window_ends = now.plus_millis(rules.window_ms);
        }
        record.failures += 1;
        if record.failures < failures_max {
            return None;
        }
        record.failures = 0;
        if record.remembered_until <= now {
            record.next_ban_ms = rules.ban_ms;
        }
        let length_ms = record.next_ban_ms.min(rules.ban_ms_max);
        record.banned_until = record.banned_until.max(now.plus_millis(length_ms));
        record.next_ban_ms = length_ms.saturating_mul(2);
        record.remembered_until = record.banned_until.plus_millis(rules.ban_ms_max);
        Some(record.banned_until)
    }

    /// Keeps somebody out because an operator says so.
    pub fn ban(&mut self, offender: Offender, until: Now, now: Now) -> Result<(), TooManyBans> {
        if self.manual.len() >= MANUAL_MAX {
            self.manual.retain(|_, until| *until > now);
        }
        if self.manual.len() >= MANUAL_MAX && !self.manual.contains_key(&offender) {
            return Err(TooManyBans);
        }
        self.manual.insert(offender, until);
        Ok(())
    }

    /// Lets somebody in again, with nothing on record. False if they were not kept out.
    pub fn lift(&mut self, offender: &Offender, now: Now) -> bool {
        let was_banned = self.banned_until(offender, now).is_some();
        self.records.remove(offender);
        self.manual.remove(offender);
        was_banned
    }

    /// Those who are kept out now, the longest first.
    pub fn in_force(&self, now: Now) -> Vec<Ban> {
        let earned = self.records.iter().map(|(offender, record)| (offender, record.banned_until, false));
        let manual = self.manual.iter().map(|(offender, until)| (offender, *until, true));
        // Of two bans the one that lasts longer counts.
        let mut longest: HashMap<&Offender, (Now, bool)> = HashMap::new();
        for (offender, until, is_manual) in earned.chain(manual).filter(|(_, until, _)| *until > now) {
            let ban = longest.entry(offender).or_insert((until, is_manual));
            *ban = (*ban).max((until, is_manual));
        }
        let mut bans: Vec<_> = longest
            .into_iter()
            .map(|(offender, (until, is_manual))| Ban { offender: offender.clone(), until, is_manual })
            .collect();
        bans.sort_by_key(|ban| std::cmp::Reverse(ban.until));
        bans
    }

    /// Records given up for lack of room.
    pub fn forgotten(&self) -> u64 {
        self.records.forgotten()
    }

    fn record(&mut self, offender: Offender, now: Now) -> &mut Record {
        let is_over = |record: &mut Record| {
            record.banned_until <= now && record.window_ends <= now && record.remembered_until <= now
        };
        let none = Now::default();
        self.records.entry(offender, now, is_over, || Record {
            failures: 0,
            window_ends: none,
            banned_until: none,
            next_ban_ms: 0,
            remembered_until: none,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules =
        Rules { failures_max: 3, address_failures_max: 3, window_ms: 10_000, ban_ms: 1000, ban_ms_max: 3000 };

    fn at(millis: u64) -> Now {
        Now::from_millis(millis)
    }

    fn one() -> Offender {
        Offender::address("192.0.2.1".parse().unwrap())
    }

    /// Fails until a ban; gives its length.
    fn banned(bans: &mut Bans, now: u64) -> u64 {
        assert_eq!((bans.failed(one(), at(now)), bans.failed(one(), at(now))), (None, None));
        at(now).millis_until(bans.failed(one(), at(now)).expect("one too many"))
    }

    #[test]
    fn bans_double_up_to_the_longest_and_are_forgotten_after_good_conduct() {
        let mut bans = Bans::new(RULES, 10);
        assert_eq!(banned(&mut bans, 0), 1000);
        assert_eq!(bans.banned_until(&one(), at(999)), Some(at(1000)));
        assert_eq!(bans.banned_until(&one(), at(1000)), None);
        assert_eq!([banned(&mut bans, 1000), banned(&mut bans, 3000), banned(&mut bans, 6000)], [2000, 3000, 3000]);
        assert_eq!(banned(&mut bans, 20_000), 1000);
    }

    #[test]
    fn failures_far_apart_are_no_attack() {
        let mut bans = Bans::new(RULES, 10);
        for step in 0..20 {
            assert_eq!(bans.failed(one(), at(step * 6_000)), None, "two in each window");
        }
        assert_eq!(Bans::new(Rules { address_failures_max: 0, ..RULES }, 10).failed(one(), at(0)), None);
    }

    #[test]
    fn a_name_is_kept_out_from_one_address_only() {
        let mut bans = Bans::new(RULES, 10);
        let user = Text::from_static("ann");
        let from = |address: &str| Offender::login(address.parse().unwrap(), &user);
        for _ in 0..3 {
            bans.failed(from("192.0.2.1"), at(0));
        }
        assert!(bans.banned_until(&from("192.0.2.1"), at(1)).is_some());
        assert!(bans.banned_until(&from("192.0.2.2"), at(1)).is_none());
    }

    #[test]
    fn addresses_of_one_customer_count_as_one() {
        let of = |address: &str| Offender::address(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_eq!(of("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn an_operator_bans_and_lifts() {
        let mut bans = Bans::new(RULES, 10);
        assert_eq!(bans.ban(one(), at(5000), at(0)), Ok(()));
        assert_eq!(bans.in_force(at(0)), [Ban { offender: one(), until: at(5000), is_manual: true }]);
        assert!(bans.lift(&one(), at(0)) && !bans.lift(&one(), at(0)));
        assert!(bans.in_force(at(0)).is_empty());
    }

    #[test]
    fn an_operators_ban_is_not_given_up_for_others_and_ends_in_time() {
        let mut bans = Bans::new(RULES, 4);
        assert_eq!(bans.ban(one(), at(5000), at(0)), Ok(()));
        for last in 10..200 {
            banned_as(&mut bans, Offender::address(std::net::Ipv4Addr::new(192, 0, 2, last).into()));
        }
        assert!(bans.forgotten() > 0);
        assert_eq!(bans.banned_until(&one(), at(4999)), Some(at(5000)));
        assert_eq!(bans.banned_until(&one(), at(5000)), None);
        // What it earns afterwards is its own doing.
        banned(&mut bans, 6000);
        assert_eq!(bans.in_force(at(6000)).last().map(|ban| ban.is_manual), Some(false));
    }

    fn banned_as(bans: &mut Bans, offender: Offender) {
        for _ in 0..3 {
            bans.failed(offender.clone(), at(0));
        }
    }

    #[test]
    fn operators_are_told_when_there_are_too_many_bans() {
        let mut bans = Bans::new(RULES, 4);
        let of = |number: usize| Offender::address(std::net::Ipv4Addr::from(u32::try_from(number).unwrap()).into());
        for number in 0..MANUAL_MAX {
            assert_eq!(bans.ban(of(number), at(10), at(0)), Ok(()));
        }
        assert_eq!(bans.ban(of(MANUAL_MAX), at(20), at(0)), Err(TooManyBans));
        assert_eq!(bans.ban(of(0), at(20), at(0)), Ok(()), "one that is there may be longer");
        assert_eq!(bans.ban(of(MANUAL_MAX), at(20), at(10)), Ok(()), "those that are over make room");
    }
}
