//! What addresses, users and clients may ask for, and who is kept out.
use super::Counters;
use crate::abuse::{Ban, Bans, Bucket, Flapping, Ledger, Offender, Pattern, Rate, Rules, TooManyBans};
use crate::types::{ClientId, Now, Text};
use arc_swap::ArcSwap;
use ipnet::IpNet;
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What one address, user or client may ask for in a second; `None` sets no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub connects: Option<Rate>,
    pub messages: Option<Rate>,
    pub bytes: Option<Rate>,
    pub subscriptions: Option<Rate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbuseSettings {
    /// Networks that are not counted and never kept out.
    pub exempt: Vec<IpNet>,
    pub rules: Rules,
    pub pattern: Pattern,
    /// Entries of each table.
    pub remembered_max: usize,
    pub address: Rates,
    pub user: Rates,
    pub client: Rates,
}

impl Default for AbuseSettings {
    fn default() -> Self {
        Self {
            exempt: Vec::new(),
            rules: Rules { failures_max: 0, address_failures_max: 0, window_ms: 0, ban_ms: 0, ban_ms_max: 0 },
            pattern: Pattern { connects_max: 0, window_ms: 0, refused_ms: 0 },
            remembered_max: 1,
            address: Rates::default(),
            user: Rates::default(),
            client: Rates::default(),
        }
    }
}

/// Refused logins that are logged one by one; the rest is counted.
const LOGGED: Rate = Rate { per_second: 10, burst: 100 };

#[derive(Debug)]
struct LogShare {
    bucket: Bucket,
    left_out: u64,
}

/// Bytes of a user name that is remembered for failed logins; for a longer one only its address is.
const NAME_BYTES_MAX: usize = 256;

/// Of whom something is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whom {
    /// The offender that stands for an address, so that IPv6 is grouped in the same way.
    Address(Offender),
    User(Text),
    Client(Option<Text>, ClientId),
}

#[derive(Debug)]
pub struct Abuse {
    settings: ArcSwap<AbuseSettings>,
    /// What of the refused logins is logged. Users: connections that log in.
    log: Mutex<LogShare>,
    /// Users: the accept loops, connections that log in, operators. Held for a look.
    bans: Mutex<Bans>,
    /// Users: the accept loops, and connections that open.
    connects: Mutex<Ledger<Whom, Bucket>>,
    flapping: Mutex<Flapping>,
    /// What connections share of one address or user. Users: connections that open.
    allowances: Mutex<Ledger<Whom, Arc<Mutex<Spent>>>>,
}

/// What is left of the rates of somebody.
#[derive(Debug)]
pub(super) struct Spent {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
    subscriptions: Option<Bucket>,
}

/// The rates that bind one connection: its client's, its user's and its address's.
#[derive(Debug, Default)]
pub(super) struct Allowances(Vec<Arc<Mutex<Spent>>>);

impl Spent {
    fn full(rates: &Rates, now: Now) -> Self {
        let full = |rate: Option<Rate>| rate.map(|rate| Bucket::full(rate, now));
        Self { messages: full(rates.messages), bytes: full(rates.bytes), subscriptions: full(rates.subscriptions) }
    }

    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        [&mut self.messages, &mut self.bytes, &mut self.subscriptions].into_iter().flatten()
    }
}

impl Allowances {
    fn spent(&self) -> impl Iterator<Item = &Mutex<Spent>> {
        self.0.iter().map(|spent| &**spent)
    }

    /// Counts what came.
    pub fn charge(&self, messages: u64, bytes: u64, now: Now) {
        for spent in self.spent() {
            let mut spent = spent.lock();
            if let Some(bucket) = &mut spent.messages {
                bucket.charge(messages, now);
            }
            if let Some(bucket) = &mut spent.bytes {
                bucket.charge(bytes, now);
            }
        }
    }

    /// Until when nothing more may be read; `None` if it may now.
    pub fn paused_until(&self, now: Now) -> Option<Now> {
        let debts = self.spent().map(|spent| {
            let mut spent = spent.lock();
            let messages = spent.messages.as_mut().map_or(0, |bucket| bucket.in_debt_ms(now));
            messages.max(spent.bytes.as_mut().map_or(0, |bucket| bucket.in_debt_ms(now)))
        });
        debts.max().filter(|debt| *debt > 0).map(|debt| now.plus_millis(debt))
    }

    /// Whether so many more subscriptions may be made. All of a SUBSCRIBE or none: what it makes beyond the rate has to be
    /// made up for before the next, and one that is refused costs nothing.
    pub fn may_subscribe(&self, filters: u64, now: Now) -> bool {
        let may =
            self.spent().all(|spent| spent.lock().subscriptions.as_mut().is_none_or(|bucket| bucket.holds(1, now)));
        if may {
            for spent in self.spent() {
                if let Some(bucket) = &mut spent.lock().subscriptions {
                    bucket.charge(filters, now);
                }
            }
        }
        may
    }
}

impl Abuse {
    pub fn new(settings: AbuseSettings) -> Self {
        let entries_max = settings.remembered_max;
        Self {
            bans: Mutex::new(Bans::new(settings.rules, entries_max)),
            connects: Mutex::new(Ledger::new(entries_max)),
            flapping: Mutex::new(Flapping::new(settings.pattern, entries_max)),
            allowances: Mutex::new(Ledger::new(entries_max)),
            log: Mutex::new(LogShare { bucket: Bucket::full(LOGGED, Now::default()), left_out: 0 }),
            settings: ArcSwap::from_pointee(settings),
        }
    }

    /// Puts other settings in force, for what comes from now on; who is connected keeps the rates they came under. The
    /// size of the tables stays.
    pub fn change(&self, settings: AbuseSettings) {
        if **self.settings.load() == settings {
            return;
        }
        self.bans.lock().change(settings.rules);
        self.flapping.lock().change(settings.pattern);
        self.settings.store(Arc::new(settings));
        // Each has its rate built in.
        self.connects.lock().clear();
        self.allowances.lock().clear();
    }

    /// Whether one more refused login is to be logged; if so, how many were left out before it. Who guesses fast must
    /// not fill the disk with it.
    pub fn log_share(&self, now: Now) -> Option<u64> {
        let mut log = self.log.lock();
        if log.bucket.take(1, now) {
            return Some(std::mem::take(&mut log.left_out));
        }
        log.left_out += 1;
        None
    }

    /// Whether an address may connect; a refusal is counted.
    pub fn may_connect(&self, address: Option<IpAddr>, counters: &Counters, now: Now) -> bool {
        let Some(address) = self.counted(address) else { return true };
        let offender = Offender::address(address);
        if self.bans.lock().banned_until(&offender, now).is_some() {
            counters.connections_refused_banned.add(1);
            return false;
        }
        let is_within = self.take_connect(Whom::Address(offender), self.settings.load().address.connects, now);
        if !is_within {
            counters.connections_refused_rate.add(1);
        }
        is_within
    }

    /// Whether a user from an address may try to log in.
    pub fn may_log_in(&self, address: Option<IpAddr>, user: Option<&Text>, counters: &Counters, now: Now) -> bool {
        let (Some(address), Some(user)) = (self.counted(address), user) else { return true };
        let is_banned = self.bans.lock().banned_until(&Offender::login(address, user), now).is_some();
        if is_banned {
            counters.logins_refused_banned.add(1);
        }
        !is_banned
    }

    /// Counts a login that failed. Gives those who are kept out from now on, and until when.
    pub fn login_failed(&self, address: Option<IpAddr>, user: Option<&Text>, now: Now) -> Vec<(Offender, Now)> {
        let Some(address) = self.counted(address) else { return Vec::new() };
        let login = user.filter(|user| user.len() <= NAME_BYTES_MAX).map(|user| Offender::login(address, user));
        let mut bans = self.bans.lock();
        let offenders = [Some(Offender::address(address)), login].into_iter().flatten();
        let banned = offenders.filter_map(|offender| Some((offender.clone(), bans.failed(offender, now)?)));
        banned.collect()
    }

    /// Those who are kept out now, the longest first.
    pub fn bans(&self, now: Now) -> Vec<Ban> {
        self.bans.lock().in_force(now)
    }

    /// Keeps an address, or one user from there, out.
    pub fn ban(&self, offender: Offender, until: Now, now: Now) -> Result<(), TooManyBans> {
        self.bans.lock().ban(offender, until, now)
    }

    /// False if they were not kept out.
    pub fn lift(&self, offender: &Offender, now: Now) -> bool {
        self.bans.lock().lift(offender, now)
    }

    /// Entries given up for lack of room in the tables.
    pub fn forgotten(&self) -> u64 {
        self.bans.lock().forgotten()
            + self.connects.lock().forgotten()
            + self.flapping.lock().forgotten()
            + self.allowances.lock().forgotten()
    }

    /// Whether an address is never kept out.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        self.counted(Some(address)).is_none()
    }

    /// The address to count by; `None` for one that is exempt. Who comes without one is on this machine.
    fn counted(&self, address: Option<IpAddr>) -> Option<IpAddr> {
        let address = address.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.to_canonical());
        (!self.settings.load().exempt.iter().any(|net| net.contains(&address))).then_some(address)
    }

    fn take_connect(&self, whom: Whom, rate: Option<Rate>, now: Now) -> bool {
        let Some(rate) = rate else { return true };
        let mut connects = self.connects.lock();
        connects.entry(whom, now, |bucket| bucket.is_full(now), || Bucket::full(rate, now)).take(1, now)
    }

    /// Whether a client that proved who it is may have a session now.
    pub(super) fn may_attach(
        &self,
        address: Option<IpAddr>,
        user: Option<&Text>,
        client_id: &ClientId,
        now: Now,
    ) -> bool {
        if self.counted(address).is_none() {
            return true;
        }
        let settings = self.settings.load();
        let client = || Whom::Client(user.cloned(), client_id.clone());
        user.is_none_or(|user| self.take_connect(Whom::User(user.clone()), settings.user.connects, now))
            && self.take_connect(client(), settings.client.connects, now)
            && self.flapping.lock().connect(user, client_id, now)
    }

    /// The rates that bind a connection, if any do.
    pub(super) fn allowances(&self, address: Option<IpAddr>, user: Option<&Text>, now: Now) -> Option<Allowances> {
        let has_any = |rates: &Rates| rates.messages.or(rates.bytes).or(rates.subscriptions).is_some();
        let counted = self.counted(address)?;
        let settings = self.settings.load();
        let shared = |whom: Option<Whom>, rates: &Rates| {
            let whom = whom.filter(|_| has_any(rates))?;
            let is_idle = |spent: &mut Arc<Mutex<Spent>>| {
                Arc::strong_count(spent) == 1 && spent.lock().buckets().all(|bucket| bucket.is_full(now))
            };
            let make = || Arc::new(Mutex::new(Spent::full(rates, now)));
            Some(self.allowances.lock().entry(whom, now, is_idle, make).clone())
        };
        let own = has_any(&settings.client).then(|| Arc::new(Mutex::new(Spent::full(&settings.client, now))));
        let of_user = shared(user.cloned().map(Whom::User), &settings.user);
        let of_address = shared(Some(Whom::Address(Offender::address(counted))), &settings.address);
        let allowances: Vec<_> = [own, of_user, of_address].into_iter().flatten().collect();
        (!allowances.is_empty()).then_some(Allowances(allowances))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules =
        Rules { failures_max: 2, address_failures_max: 2, window_ms: 1000, ban_ms: 1000, ban_ms_max: 8000 };

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn at(millis: u64) -> Now {
        Now::from_millis(millis)
    }

    fn abuse(change: impl FnOnce(&mut AbuseSettings)) -> Abuse {
        let mut settings = AbuseSettings { rules: RULES, remembered_max: 100, ..AbuseSettings::default() };
        change(&mut settings);
        Abuse::new(settings)
    }

    #[test]
    fn an_address_whose_logins_fail_is_kept_out_unless_it_is_exempt() {
        let abuse = abuse(|settings| settings.exempt = vec!["10.0.0.0/8".parse().unwrap()]);
        let counters = Counters::default();
        let user = Text::from_static("ann");
        for from in ["192.0.2.1", "10.1.1.1"] {
            assert_eq!(abuse.login_failed(address(from), Some(&user), at(0)), []);
        }
        assert_eq!(abuse.login_failed(address("192.0.2.1"), Some(&user), at(0)).len(), 2, "the address, and the login");
        assert_eq!(abuse.login_failed(address("10.1.1.1"), Some(&user), at(0)), []);
        assert!(!abuse.may_connect(address("192.0.2.1"), &counters, at(999)));
        assert!(!abuse.may_log_in(address("192.0.2.1"), Some(&user), &counters, at(999)));
        assert!(abuse.may_connect(address("192.0.2.1"), &counters, at(1000)));
        assert!(abuse.may_connect(address("10.1.1.1"), &counters, at(0)) && abuse.may_connect(None, &counters, at(0)));
        for _ in 0..2 {
            abuse.login_failed(None, Some(&user), at(2000));
        }
        assert!(
            !abuse.may_log_in(None, Some(&user), &counters, at(2000)),
            "this machine's own are counted as 127.0.0.1"
        );
        assert!(!abuse.may_log_in(address("127.0.0.1"), Some(&user), &counters, at(2000)));
        assert_eq!((counters.connections_refused_banned.value(), counters.logins_refused_banned.value()), (1, 3));
    }

    #[test]
    fn connects_are_limited_by_address_user_and_client() {
        let connects = Rate::new(1, 1);
        let abuse = abuse(|settings| {
            for rates in [&mut settings.address, &mut settings.user, &mut settings.client] {
                rates.connects = connects;
            }
        });
        let counters = Counters::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| ClientId::new(&Text::from_static(name)).unwrap());
        let [ann, bob] = ["ann", "bob"].map(Text::from_static);
        let from = address("192.0.2.1");
        assert!(abuse.may_connect(from, &counters, at(0)) && !abuse.may_connect(from, &counters, at(0)));
        assert_eq!(counters.connections_refused_rate.value(), 1);
        assert!(abuse.may_attach(from, Some(&ann), &a, at(0)));
        assert!(!abuse.may_attach(from, Some(&ann), &b, at(0)), "her second");
        assert!(abuse.may_attach(from, Some(&bob), &a, at(0)), "his own of that name");
        assert!(
            !abuse.may_attach(from, None, &c, at(0)) || !abuse.may_attach(from, None, &c, at(0)),
            "the client's second"
        );
        assert!(abuse.may_attach(from, None, &c, at(1000)) && abuse.may_attach(from, Some(&ann), &a, at(1000)));
    }

    #[test]
    fn an_allowance_is_shared_by_the_connections_of_an_address_and_not_by_others() {
        let abuse = abuse(|settings| {
            settings.address = Rates { messages: Rate::new(10, 1), subscriptions: Rate::new(5, 1), ..Rates::default() };
        });
        let [one, two] =
            [at(0), at(0)].map(|now| abuse.allowances(address("192.0.2.1"), None, now).expect("a rate binds it"));
        let other = abuse.allowances(address("192.0.2.2"), None, at(0)).expect("a rate binds it");
        one.charge(15, 1_000_000, at(0));
        assert_eq!((two.paused_until(at(0)), other.paused_until(at(0))), (Some(at(500)), None));
        assert_eq!(two.paused_until(at(500)), None);
        assert!(one.may_subscribe(5, at(0)) && !two.may_subscribe(1, at(0)) && other.may_subscribe(1, at(0)));
        assert!(Abuse::new(AbuseSettings::default()).allowances(None, None, at(0)).is_none());
    }

    #[test]
    fn a_subscribe_beyond_the_burst_is_made_up_for_and_one_that_is_refused_costs_nothing() {
        let abuse = abuse(|settings| {
            settings.client = Rates { subscriptions: Rate::new(100, 1), ..Rates::default() };
            settings.user = Rates { subscriptions: Rate::new(10, 1), ..Rates::default() };
        });
        let ann = Text::from_static("ann");
        let one = abuse.allowances(address("192.0.2.1"), Some(&ann), at(0)).expect("a rate binds it");
        assert!(one.may_subscribe(30, at(0)), "more than the burst, but nothing was owed");
        assert!((0..200).all(|_| !one.may_subscribe(1, at(1000))), "20 are owed still");
        assert!(one.may_subscribe(1, at(2100)));
    }

    #[test]
    fn settings_change_for_what_comes_then() {
        let abuse = abuse(|settings| settings.address.connects = Rate::new(1, 1));
        let (counters, from) = (Counters::default(), address("192.0.2.1"));
        assert!(abuse.may_connect(from, &counters, at(0)) && !abuse.may_connect(from, &counters, at(0)));
        let rules = Rules { address_failures_max: 1, ..RULES };
        let connects = Rates { connects: Rate::new(3, 1), ..Rates::default() };
        abuse.change(AbuseSettings { rules, address: connects, remembered_max: 100, ..AbuseSettings::default() });
        assert!(
            (0..3).all(|_| abuse.may_connect(from, &counters, at(0))) && !abuse.may_connect(from, &counters, at(0))
        );
        assert_eq!(abuse.login_failed(from, None, at(0)).len(), 1);
        let exempt = vec!["192.0.2.0/24".parse().unwrap()];
        abuse.change(AbuseSettings { exempt, ..AbuseSettings::default() });
        assert!(abuse.may_connect(from, &counters, at(0)));
    }

    #[test]
    fn refused_logins_are_logged_until_there_are_too_many() {
        let abuse = abuse(|_| {});
        let logged = (0..1000).filter(|_| abuse.log_share(at(1000)).is_some()).count();
        assert_eq!(logged, 100);
        assert_eq!(abuse.log_share(at(1100)), Some(900));
    }
}
