use super::*;
use crate::packet::SubscriptionOptions;
use MemberState::{Away, Gone, Live};

#[derive(Debug, Clone, Copy)]
struct Peer(u64);

impl Subscriber for Peer {
    fn key(&self) -> SessionKey {
        SessionKey(self.0)
    }
}

const EVERY_STRATEGY: [Strategy; 4] =
    [Strategy::RoundRobin, Strategy::LeastInFlight, Strategy::Sticky, Strategy::Random];

fn member(peer: u64) -> Subscription<Peer> {
    Subscription { subscriber: Peer(peer), options: SubscriptionOptions::default(), id: None }
}

fn group_of(peers: &[u64]) -> Group<Peer> {
    let mut group = Group::new(&TopicFilter::try_from("$share/workers/jobs/#").unwrap());
    for peer in peers {
        assert_eq!(group.add(member(*peer)), Change::New);
    }
    group
}

fn live(_: &Peer) -> MemberState {
    Live { in_flight: 0 }
}

fn pick(
    group: &Group<Peer>,
    strategy: Strategy,
    choice: u64,
    exclude: Option<SessionKey>,
    state: impl Fn(&Peer) -> MemberState,
) -> Option<u64> {
    let peer = |place: usize| &group.members()[place].subscriber;
    group.pick(strategy, choice, exclude, |place| state(peer(place))).map(|place| peer(place).0)
}

fn picks(group: &Group<Peer>, strategy: Strategy, times: u64, state: impl Fn(&Peer) -> MemberState) -> Vec<u64> {
    // Multiples of an odd constant: as good as random here, and the same in each run.
    let choices = (1..=times).map(|turn| turn.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    choices.filter_map(|choice| pick(group, strategy, choice, None, &state)).collect()
}

fn shares(picked: &[u64], peers: &[u64]) -> Vec<usize> {
    peers.iter().map(|peer| picked.iter().filter(|picked| *picked == peer).count()).collect()
}

#[test]
fn a_group_knows_its_name_and_filter() {
    let group = group_of(&[1]);
    assert_eq!((group.name().as_str(), group.filter().as_str()), ("workers", "$share/workers/jobs/#"));
    assert_eq!(group.filter().inner(), b"jobs/#");
}

#[test]
fn round_robin_goes_round() {
    assert_eq!(picks(&group_of(&[3, 1, 2]), Strategy::RoundRobin, 7, live), [1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn round_robin_shares_evenly_around_members_that_are_not_live() {
    let group = group_of(&[1, 2, 3, 4, 5]);
    let state = |peer: &Peer| if [2, 3].contains(&peer.0) { Gone } else { live(peer) };
    assert_eq!(shares(&picks(&group, Strategy::RoundRobin, 30, state), &[1, 2, 3, 4, 5]), [10, 0, 0, 10, 10]);
}

#[test]
fn round_robin_goes_on_where_it_was_when_members_come_and_go() {
    let mut group = group_of(&[10, 20, 30, 40]);
    assert_eq!(picks(&group, Strategy::RoundRobin, 2, live), [10, 20]);
    group.remove(SessionKey(10));
    group.add(member(15));
    group.add(member(25));
    let copy = group.clone();
    assert_eq!(picks(&group, Strategy::RoundRobin, 5, live), [25, 30, 40, 15, 20]);
    assert_eq!(picks(&copy, Strategy::RoundRobin, 2, live), [25, 30], "the copy has a cursor of its own");
}

#[test]
fn least_in_flight_takes_the_idlest_and_goes_round_among_equals() {
    let group = group_of(&[1, 2, 3, 4]);
    let state = |peer: &Peer| Live { in_flight: [9, 5, 2, 2, 2][peer.0 as usize] };
    assert_eq!(picks(&group, Strategy::LeastInFlight, 4, state), [2, 3, 4, 2]);
    let state = |peer: &Peer| if peer.0 == 1 { Away } else { Live { in_flight: 10 - peer.0 as usize } };
    assert_eq!(picks(&group, Strategy::LeastInFlight, 2, state), [4, 4], "one that is away is not idle");
}

#[test]
fn sticky_stays_until_its_member_is_no_longer_live() {
    let mut group = group_of(&[1, 2, 3, 4]);
    let first = picks(&group, Strategy::Sticky, 20, live);
    assert!(first.iter().all(|peer| *peer == first[0]), "{first:?}");
    group.add(member(0));
    assert_eq!(picks(&group, Strategy::Sticky, 3, live), first[..3], "a newcomer changes nothing");
    let second = picks(&group, Strategy::Sticky, 20, |peer| if peer.0 == first[0] { Away } else { live(peer) });
    assert!(second.iter().all(|peer| *peer == second[0] && *peer != first[0]), "{second:?}");
    assert_eq!(picks(&group, Strategy::Sticky, 3, live), second[..3], "and stays there when the first comes back");
}

#[test]
fn random_is_even_among_the_live() {
    let peers = [1, 2, 3, 4, 5, 6, 7];
    let group = group_of(&peers);
    for share in shares(&picks(&group, Strategy::Random, 7_000, live), &peers) {
        assert!((900..1100).contains(&share), "{share} of 7000");
    }
    let state = |peer: &Peer| if peer.0 < 4 { Away } else { live(peer) };
    let shares = shares(&picks(&group, Strategy::Random, 8_000, state), &peers);
    assert_eq!(shares[..3], [0, 0, 0]);
    assert!(shares[3..].iter().all(|share| (1800..2200).contains(share)), "{shares:?} of 8000");
}

#[test]
fn a_live_member_goes_before_any_that_is_away() {
    let group = group_of(&[1, 2, 3]);
    let state = |peer: &Peer| if peer.0 == 3 { Live { in_flight: 1_000 } } else { Away };
    for strategy in EVERY_STRATEGY {
        assert_eq!(picks(&group, strategy, 3, state), [3, 3, 3], "{strategy:?}");
    }
}

#[test]
fn without_a_live_member_those_away_take_turns_and_the_gone_get_nothing() {
    for strategy in EVERY_STRATEGY {
        let group = group_of(&[1, 2, 3]);
        let state = |peer: &Peer| if peer.0 == 2 { Gone } else { Away };
        assert_eq!(picks(&group, strategy, 4, state), [1, 3, 1, 3], "{strategy:?}");
        assert_eq!(picks(&group, strategy, 1, |_| Gone), Vec::<u64>::new(), "{strategy:?}");
    }
}

#[test]
fn an_excluded_member_is_passed_over() {
    let state = |peer: &Peer| if peer.0 == 1 { live(peer) } else { Away };
    for strategy in EVERY_STRATEGY {
        let group = group_of(&[1, 2]);
        for choice in 0..4 {
            assert_eq!(pick(&group, strategy, choice, Some(SessionKey(1)), state), Some(2), "{strategy:?}");
        }
        let only = group_of(&[1]);
        assert_eq!(pick(&only, strategy, 0, Some(SessionKey(1)), live), None, "{strategy:?}");
    }
}

#[test]
fn a_group_of_nobody_picks_nobody() {
    for strategy in EVERY_STRATEGY {
        assert_eq!(picks(&group_of(&[]), strategy, 1, live), Vec::<u64>::new(), "{strategy:?}");
    }
}
