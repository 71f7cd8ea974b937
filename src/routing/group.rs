//! A group of subscribers that share the messages of one filter (5.0 section 4.8.2).
use super::audience::Change;
use super::subscription::{Subscriber, Subscription};
use crate::types::{SessionKey, ShareName, TopicFilter};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The members of `$share/name/filter`. Each message goes to one of them.
///
/// Routes hold groups while the tree goes on changing, so a group that was handed out keeps its members: the tree makes
/// a copy. Only the place of the last pick moves, in both, which costs at most some evenness for a moment.
#[derive(Debug)]
pub struct Group<S> {
    name: ShareName,
    filter: TopicFilter,
    /// By session.
    members: Vec<Subscription<S>>,
    /// One above the key of the member picked last; 0 before the first pick. A key rather than a place in `members`, so
    /// that it means the same after members came and went.
    cursor: AtomicU64,
}

/// How a group chooses among its live members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    #[default]
    RoundRobin,
    /// The member with the fewest messages in flight; round robin among equals.
    LeastInFlight,
    /// The same member for as long as it is live; then a random one.
    Sticky,
    Random,
}

/// What the broker knows of a member at the moment of a pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// Connected.
    Live { in_flight: usize },
    /// A durable session that waits for its client.
    Away,
    /// Ended; its subscription is about to be removed.
    Gone,
}

impl<S> Group<S> {
    pub fn name(&self) -> &ShareName {
        &self.name
    }

    /// The whole filter, as the members subscribed with it: `$share/name/...`.
    pub fn filter(&self) -> &TopicFilter {
        &self.filter
    }

    /// By session; never empty while the group is in the tree.
    pub fn members(&self) -> &[Subscription<S>] {
        &self.members
    }
}

impl<S: Subscriber> Group<S> {
    pub(super) fn new(filter: &TopicFilter) -> Self {
        let filter = filter.clone();
        let name = filter.share_name().expect("groups are made for shared filters only");
        Self { name, filter, members: Vec::new(), cursor: AtomicU64::new(0) }
    }

    /// The member that gets a message, by its place in [`Self::members`]: a live one by the strategy, else the next one
    /// that is away, else nobody.
    ///
    /// `choice` is a random number of the caller's; `exclude` passes over a member, as when its messages are given to
    /// others; `state` is asked by place. The time is that of one look at a member's state where members are live, save for
    /// `LeastInFlight`, which looks at all.
    pub fn pick(
        &self,
        strategy: Strategy,
        choice: u64,
        exclude: Option<SessionKey>,
        state: impl Fn(usize) -> MemberState,
    ) -> Option<usize> {
        let exclude = exclude.and_then(|key| self.find(key).ok());
        let ballot = Ballot { group: self, exclude, state };
        let live = match strategy {
            Strategy::RoundRobin => ballot.next_live(),
            Strategy::LeastInFlight => ballot.least_in_flight(),
            Strategy::Sticky => ballot.live_as_last_time().or_else(|| ballot.random_live(choice)),
            Strategy::Random => ballot.random_live(choice),
        };
        let picked = live.or_else(|| ballot.next_away())?;
        let key = self.members.get(picked)?.key();
        self.cursor.store(key.0.saturating_add(1), Relaxed);
        Some(picked)
    }

    pub fn has(&self, key: SessionKey) -> bool {
        self.find(key).is_ok()
    }

    pub(super) fn add(&mut self, subscription: Subscription<S>) -> Change {
        match self.find(subscription.key()) {
            Ok(place) => {
                let member = self.members.get_mut(place).expect("found just now");
                let change = Change::of_replacing(member, &subscription);
                *member = subscription;
                change
            }
            Err(place) => {
                self.members.insert(place, subscription);
                Change::New
            }
        }
    }

    pub(super) fn remove(&mut self, key: SessionKey) {
        if let Ok(place) = self.find(key) {
            self.members.remove(place);
        }
    }

    fn find(&self, key: SessionKey) -> Result<usize, usize> {
        self.members.binary_search_by_key(&key, Subscription::key)
    }

    /// The places of all members, those after the last pick first.
    fn after_cursor(&self) -> impl Iterator<Item = usize> {
        let cursor = self.cursor.load(Relaxed);
        let next = self.members.partition_point(|member| member.key().0 < cursor);
        (next..self.members.len()).chain(0..next)
    }
}

impl<S: Clone> Clone for Group<S> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            filter: self.filter.clone(),
            members: self.members.clone(),
            cursor: AtomicU64::new(self.cursor.load(Relaxed)),
        }
    }
}

/// One pick: the members as they are now, by their places.
struct Ballot<'g, S, F> {
    group: &'g Group<S>,
    exclude: Option<usize>,
    state: F,
}

impl<S: Subscriber, F: Fn(usize) -> MemberState> Ballot<'_, S, F> {
    fn in_flight(&self, place: usize) -> Option<usize> {
        match self.state(place) {
            MemberState::Live { in_flight } => Some(in_flight),
            MemberState::Away | MemberState::Gone => None,
        }
    }

    fn state(&self, place: usize) -> MemberState {
        if self.exclude == Some(place) { MemberState::Gone } else { (self.state)(place) }
    }

    fn next_live(&self) -> Option<usize> {
        self.group.after_cursor().find(|place| self.in_flight(*place).is_some())
    }

    fn next_away(&self) -> Option<usize> {
        self.group.after_cursor().find(|place| self.state(*place) == MemberState::Away)
    }

    fn least_in_flight(&self) -> Option<usize> {
        let live = self.group.after_cursor().filter_map(|place| Some((self.in_flight(place)?, place)));
        live.min_by_key(|(in_flight, _)| *in_flight).map(|(_, place)| place)
    }

    fn live_as_last_time(&self) -> Option<usize> {
        let last = SessionKey(self.group.cursor.load(Relaxed).checked_sub(1)?);
        let place = self.group.find(last).ok()?;
        self.in_flight(place).map(|_| place)
    }

    /// Even among the live: one member is drawn among all, and if it is not live, another among the live.
    fn random_live(&self, choice: u64) -> Option<usize> {
        let places = 0..self.group.members.len();
        let drawn = nth_of(places.clone(), choice, places.len())?;
        if self.in_flight(drawn).is_some() {
            return Some(drawn);
        }
        let live = || places.clone().filter(|place| self.in_flight(*place).is_some());
        // The first draw used up the remainder of `choice`; the quotient is as random still.
        let rest = choice / u64::try_from(places.len()).ok()?;
        nth_of(live(), rest, live().count())
    }
}

/// The item at `choice` modulo `count`.
fn nth_of<T>(mut items: impl Iterator<Item = T>, choice: u64, count: usize) -> Option<T> {
    let place = choice.checked_rem(u64::try_from(count).ok()?)?;
    items.nth(usize::try_from(place).ok()?)
}

#[cfg(test)]
mod tests;
