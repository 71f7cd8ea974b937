//! The durable store: what was committed is found again, whatever was taken over from the log in between.
mod held;
mod model;

use bytes::Bytes;
use model::{Image, Queued};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use vowmq::dump;
use vowmq::packet::{RetainHandling, SubscriptionOptions, Will};
use vowmq::store::cold::{Cold, Failure, MemoryCold};
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::{self, DurableStore, Options, Record, Restored, Shelf, Store, Target};
use vowmq::types::{
    Attributes, ClientId, Identity, Message, Now, PacketId, PublishProperties, QoS, SessionKey, Stamp, SubscriptionIds,
    Text, TopicFilter, TopicName,
};

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn session() -> impl Strategy<Value = SessionKey> {
    (1..6u64).prop_map(SessionKey)
}

fn now() -> impl Strategy<Value = Now> {
    any::<u64>().prop_map(Now::from_millis)
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=5u16).prop_map(|id| PacketId::new(id).unwrap())
}

fn topic() -> impl Strategy<Value = TopicName> {
    "[a-c]/[x-z]".prop_map(|name| TopicName::try_from(name.as_str()).unwrap())
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    prop_oneof!["[a-c]/#", "[+]/[x-z]", "[$]share/g/[a-c]"]
        .prop_map(|name| TopicFilter::try_from(name.as_str()).unwrap())
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn message() -> impl Strategy<Value = Arc<Message>> {
    (topic(), bytes(), qos(), any::<bool>(), bytes(), prop::option::of(now())).prop_map(
        |(topic, payload, qos, retain, forward, expires_at)| {
            Arc::new(Message { topic, payload, qos, retain, forward, expires_at, received: Stamp::default() })
        },
    )
}

fn will() -> impl Strategy<Value = Box<Will>> {
    (topic(), bytes(), qos(), any::<bool>(), any::<u32>(), prop::option::of(any::<u32>()), bytes()).prop_map(
        |(topic, payload, qos, retain, delay_s, expiry_s, forward)| {
            Box::new(Will { topic, payload, qos, retain, delay_s, properties: PublishProperties { expiry_s, forward } })
        },
    )
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    let handling = prop_oneof![Just(RetainHandling::Always), Just(RetainHandling::IfNew), Just(RetainHandling::Never)];
    (qos(), any::<bool>(), any::<bool>(), handling).prop_map(|(qos, no_local, retain_as_published, retain_handling)| {
        SubscriptionOptions { qos, no_local, retain_as_published, retain_handling }
    })
}

fn target() -> impl Strategy<Value = (SessionKey, QoS, bool, Vec<u32>, Option<TopicFilter>)> {
    (session(), qos(), any::<bool>(), prop::collection::vec(1..9u32, 0..3), prop::option::of(filter()))
}

fn identity() -> impl Strategy<Value = Identity> {
    let text = || "[a-z]{1,9}".prop_map(|text| Text::try_from(text.as_str()).unwrap());
    let claims = prop::collection::btree_map("[a-z]{1,3}", "[a-z]{0,9}", 0..3);
    let certificate = prop::option::of(text());
    let address = prop::option::of(any::<std::net::IpAddr>());
    (prop::option::of(text()), prop::collection::vec(text(), 0..3), claims, certificate, address).prop_map(
        |(user, groups, claims, certificate, address)| {
            let attributes = Attributes { groups, claims, certificate, expires_at_ms: None };
            Identity { user, address, ..Identity::default() }.with(attributes)
        },
    )
}

/// Records as a broker would write them, but for the queue positions, which [`number`] gives.
fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (session(), "[a-z]{1,9}", any::<bool>()).prop_map(|(session, name, is_v5)| {
            let client_id = ClientId::new(&Text::try_from(name.as_str()).unwrap()).unwrap();
            Record::SessionBegun { session, client_id, is_v5 }
        }),
        (session(), identity()).prop_map(|(session, owner)| Record::SessionOwned { session, owner: Arc::new(owner) }),
        (session(), any::<u32>(), prop::option::of(will()))
            .prop_map(|(session, expiry_s, will)| Record::SessionAttached { session, expiry_s, will }),
        (session(), prop::option::of(now()), prop::option::of(now()), 0..=store::POSITIONS_MAX).prop_map(
            |(session, expires_at, will_at, sent_below)| Record::SessionParked {
                session,
                expires_at,
                will_at,
                sent_below
            }
        ),
        session().prop_map(|session| Record::SessionEnded { session }),
        (session(), filter(), options(), prop::option::of(1..9u32))
            .prop_map(|(session, filter, options, id)| Record::Subscribed { session, filter, options, id }),
        (session(), filter()).prop_map(|(session, filter)| Record::Unsubscribed { session, filter }),
        (session(), filter(), prop::option::of(topic())).prop_map(|(session, filter, after)| Record::ScanAt {
            session,
            filter,
            after
        }),
        (session(), filter()).prop_map(|(session, filter)| Record::ScanOver { session, filter }),
        (message(), prop::option::of((session(), packet_id())), any::<bool>(), prop::collection::vec(target(), 0..3))
            .prop_map(|(message, inbound, is_retained, targets)| {
                let targets = targets.into_iter().map(|(session, qos, retain, ids, share)| Target {
                    session,
                    position: 0,
                    qos,
                    retain,
                    subscription_ids: SubscriptionIds::from(ids),
                    share: share.map(Arc::new),
                    give_up_at: None,
                });
                Record::Published { message, inbound, is_retained, targets: targets.collect() }
            }),
        (session(), 0..20u64, 1..5u16).prop_map(|(session, position, count)| Record::Done { session, position, count }),
        (session(), 0..20u64, 1..5u16).prop_map(|(session, position, count)| Record::Received {
            session,
            position,
            count
        }),
        (session(), packet_id(), 1..4u16).prop_map(|(session, id, count)| Record::InboundReleased {
            session,
            id,
            count
        }),
    ]
}

/// Gives targets their positions, counting up per session, keeps Done to positions given, and lets each session begin
/// once, before anything else of it.
fn number(mut records: Vec<Record>) -> Vec<Record> {
    let mut begun = std::collections::BTreeSet::new();
    records.retain_mut(|record| match record {
        Record::SessionBegun { session, .. } => begun.insert(*session),
        Record::SessionOwned { session, .. }
        | Record::SessionAttached { session, .. }
        | Record::SessionParked { session, .. }
        | Record::SessionEnded { session }
        | Record::Subscribed { session, .. }
        | Record::Unsubscribed { session, .. }
        | Record::ScanAt { session, .. }
        | Record::ScanOver { session, .. }
        | Record::Done { session, .. }
        | Record::Received { session, .. }
        | Record::InboundOpen { session, .. }
        | Record::InboundReleased { session, .. } => begun.contains(session),
        Record::Published { inbound, targets, .. } => {
            inbound.take_if(|(session, _)| !begun.contains(session));
            targets.retain(|target| begun.contains(&target.session));
            true
        }
    });
    let mut next = std::collections::BTreeMap::new();
    let numbered = records.into_iter().map(|mut record| {
        match &mut record {
            Record::Published { targets, .. } => {
                for target in targets {
                    let position: &mut u64 = next.entry(target.session).or_default();
                    target.position = *position;
                    *position += 1;
                }
            }
            Record::Done { session, position, count } | Record::Received { session, position, count } => {
                let given = next.get(session).copied().unwrap_or(0);
                *position = if given == 0 { 0 } else { *position % given };
                *count = (*count).min(u16::try_from(given - *position).unwrap().max(1));
            }
            _ => {}
        }
        record
    });
    numbered.collect()
}

fn image_of(records: &[Record]) -> Image {
    let mut image = Image::default();
    records.iter().for_each(|record| image.apply(record));
    image
}

/// What may happen between two groups.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    Rest,
    /// The oldest part of the log is taken over.
    Checkpoint,
    TakeOverAll,
    /// The oldest part of the log cannot be taken over, or is and nobody learns of it.
    FailedCheckpoint(Failure),
    Stop,
    Kill,
    CutPower,
}

fn event() -> impl Strategy<Value = Event> {
    use Event::{Checkpoint, CutPower, FailedCheckpoint, Kill, Nothing, Rest, Stop, TakeOverAll};
    prop_oneof![
        6 => Just(Nothing),
        2 => Just(Rest),
        4 => Just(Checkpoint),
        2 => Just(TakeOverAll),
        1 => Just(FailedCheckpoint(Failure::Without)),
        1 => Just(FailedCheckpoint(Failure::With)),
        1 => Just(Stop),
        1 => Just(Kill),
        1 => Just(CutPower),
    ]
}

/// A store with its disk, which outlives it.
struct Machine {
    files: Arc<FaultFiles>,
    cold: Arc<MemoryCold>,
}

impl Machine {
    fn new(seed: u64) -> Self {
        Self { files: Arc::new(FaultFiles::new(seed, 512)), cold: Arc::default() }
    }

    fn open(&self) -> (DurableStore, Restored) {
        let options = Options {
            segment_bytes: 64 << 10,
            log_bytes_max: 2048,
            stride_bytes: 1024,
            spares_apart: false,
            ..Options::new(7)
        };
        DurableStore::open_with(self.files.clone(), self.cold.clone(), options).expect("what is on disk is sound")
    }
}

/// A session's queue as it is read back, in pages of different lengths.
fn queue_of(shelf: &dyn Shelf, session: SessionKey, head: u64, end: u64) -> BTreeMap<u64, Queued> {
    let (mut queue, mut from, mut length) = (BTreeMap::new(), head, 1);
    while from < end {
        let page = shelf.page(session, from, length, u64::MAX).unwrap();
        assert_eq!(page.from, from);
        assert!(page.next > from, "a page that ends where it begins, at {from} of {end}");
        for queued in page.deliveries {
            let position = queued.position();
            assert!(position >= from && position < page.next);
            let queued = match queued {
                store::Queued::Message { message, target } => Queued::Message { message, target },
                store::Queued::Received { .. } => Queued::Received,
            };
            queue.insert(position, queued);
        }
        from = page.next;
        length = length % 5 + 1;
    }
    queue
}

fn assert_same(store: &DurableStore, restored: &Restored, expected: &Image) {
    let keys = |found: Vec<&SessionKey>| format!("{found:?}");
    assert_eq!(keys(restored.sessions.keys().collect()), keys(expected.sessions.keys().collect()));
    assert!(restored.last_session >= expected.last_session);
    let shelf = store.shelf();
    for (key, session) in &expected.sessions {
        let found = &restored.sessions[key];
        assert_eq!(found.client_id, session.client_id);
        assert_eq!((found.is_v5, found.expiry_s), (session.is_v5, session.expiry_s));
        assert_eq!(found.owner, session.owner);
        assert_eq!(found.will.as_deref(), session.pending_will());
        assert_eq!(found.presence, session.presence);
        assert_eq!(found.subscriptions, session.subscriptions);
        assert_eq!(found.scans, session.scans);
        assert_eq!(found.inbound, session.inbound);
        assert_eq!(found.queue.next_position, session.next_position, "{key:?}");
        assert!(session.queue.keys().next().is_none_or(|first| *first >= found.queue.head));
        let queue = queue_of(&*shelf, *key, 0, found.queue.next_position);
        assert_eq!(queue, session.queue, "{key:?}");
    }
    let mut retained = BTreeMap::new();
    store.each_retained(|message| assert!(retained.insert(message.topic.clone(), message).is_none())).unwrap();
    assert_eq!(format!("{retained:?}"), format!("{:?}", expected.retained));
    for (topic, message) in &expected.retained {
        assert_eq!(shelf.retained(topic).unwrap().as_ref(), Some(message));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Committed, taken over or not, ended in order or not, opened again: the same state, and every queue reads back.
    #[test]
    fn what_was_committed_is_found_again(
        records in prop::collection::vec(record(), 1..160).prop_map(number),
        events in prop::collection::vec(event(), 160),
        group_len in 1..9usize,
        seed in any::<u64>(),
    ) {
        let machine = Machine::new(seed);
        let (mut store, restored) = machine.open();
        prop_assert_eq!(restored.records, 0);
        let mut checkpointer = store.checkpointer();
        let mut committed = 0;
        for (group, event) in records.chunks(group_len).zip(events) {
            store.commit(group).unwrap();
            committed += group.len();
            match event {
                Event::Nothing => continue,
                Event::Rest => { store.rest().unwrap(); continue }
                Event::Checkpoint => { checkpointer.step().unwrap(); continue }
                Event::TakeOverAll => { checkpointer.finish().unwrap(); continue }
                Event::FailedCheckpoint(failure) => {
                    machine.cold.fail(failure);
                    // After an earlier failure it is opened anew first, and does not fail again.
                    drop(checkpointer.finish());
                    continue;
                }
                Event::Stop => {
                    checkpointer.finish().unwrap();
                    store.close().unwrap();
                }
                Event::Kill => { machine.files.kill_process(); drop(store) }
                Event::CutPower => { machine.files.cut_power(); drop(store) }
            }
            machine.cold.reopen().unwrap();
            let (again, restored) = machine.open();
            assert_same(&again, &restored, &image_of(&records[..committed]));
            store = again;
            checkpointer = store.checkpointer();
        }
        checkpointer.finish().unwrap();
        drop(store);
        let (store, restored) = machine.open();
        let expected = image_of(&records);
        assert_same(&store, &restored, &expected);
        for (key, session) in &expected.sessions {
            let waiting = session.queue.values().filter_map(|queued| match queued {
                Queued::Message { message, .. } => Some(message.cost_bytes() as u64),
                Queued::Received => None,
            });
            let queue = restored.sessions[key].queue;
            prop_assert_eq!((queue.messages, queue.bytes), (waiting.clone().count() as u64, waiting.sum()));
        }
    }

    /// What an export says makes a store that says the same.
    #[test]
    fn an_export_can_be_imported(
        records in prop::collection::vec(record(), 1..160).prop_map(number),
        events in prop::collection::vec(event(), 160),
    ) {
        let machine = Machine::new(1);
        let (mut store, _) = machine.open();
        for (group, event) in records.chunks(5).zip(events) {
            store.commit(group).unwrap();
            if matches!(event, Event::Checkpoint) {
                store.checkpointer().step().unwrap();
            }
        }
        let mut first = Vec::new();
        dump::write(&mut store.checkpointer(), &mut first).unwrap();
        let other = Machine::new(2);
        let (mut copy, _) = other.open();
        let counts = dump::read(&first[..], &mut copy).unwrap();
        prop_assert_eq!(counts.sessions as usize, image_of(&records).sessions.len());
        let mut second = Vec::new();
        dump::write(&mut copy.checkpointer(), &mut second).unwrap();
        prop_assert_eq!(String::from_utf8(first.clone()).unwrap(), String::from_utf8(second).unwrap());
        // Cut short anywhere, it is told.
        let cut = first.len() - first.len() / 3;
        let (mut third, _) = Machine::new(3).open();
        prop_assert!(dump::read(&first[..cut - 1], &mut third).is_err());
    }

    /// Everything that is over leaves nothing behind.
    #[test]
    fn what_is_over_takes_no_room(
        records in prop::collection::vec(record(), 1..160).prop_map(number),
        events in prop::collection::vec(event(), 160),
        seed in any::<u64>(),
    ) {
        let machine = Machine::new(seed);
        let (mut store, _) = machine.open();
        let mut checkpointer = store.checkpointer();
        for (group, event) in records.chunks(3).zip(events) {
            store.commit(group).unwrap();
            if !matches!(event, Event::Nothing) {
                if let Event::FailedCheckpoint(failure) = event {
                    machine.cold.fail(failure);
                    // After an earlier failure it is opened anew first, and does not fail again.
                    drop(checkpointer.finish());
                } else {
                    checkpointer.finish().unwrap();
                }
            }
        }
        let ends = (1..6).map(|session| Record::SessionEnded { session: SessionKey(session) });
        let removals = image_of(&records).retained.into_values().map(|message| Record::Published {
            message: Arc::new(Message { payload: Bytes::new(), ..(*message).clone() }),
            inbound: None,
            is_retained: true,
            targets: vowmq::store::Targets::new(),
        });
        store.commit(&ends.chain(removals).collect::<Vec<_>>()).unwrap();
        checkpointer.finish().unwrap();
        prop_assert_eq!(machine.cold.spaces_in_use(), [vowmq::store::cold::Space::State]);
        prop_assert!(machine.cold.bytes_on_disk() < 256);
    }
}

#[test]
fn a_data_directory_in_use_is_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let _first = DurableStore::open(directory.path(), Options::new(1)).unwrap();
    let Err(error) = DurableStore::open(directory.path(), Options::new(1)) else { panic!("opened twice") };
    assert!(error.to_string().contains("in use"), "{error}");
}
