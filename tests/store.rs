//! The durable store: what was committed is found again, whatever was written anew in between.
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;
use vowmq::packet::{RetainHandling, SubscriptionOptions, Will};
use vowmq::store::{DurableStore, Image, Record, Store, Target};
use vowmq::types::{
    ClientId, Message, Now, PacketId, PublishProperties, QoS, SessionKey, Text, TopicFilter, TopicName,
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
            Arc::new(Message { topic, payload, qos, retain, forward, expires_at })
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

/// Records as a broker would write them, but for the queue positions, which [`number`] gives.
fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (session(), "[a-z]{1,9}", any::<bool>()).prop_map(|(session, name, is_v5)| {
            let client_id = ClientId::new(&Text::try_from(name.as_str()).unwrap()).unwrap();
            Record::SessionBegun { session, client_id, is_v5 }
        }),
        (session(), any::<u32>(), prop::option::of(will()))
            .prop_map(|(session, expiry_s, will)| Record::SessionAttached { session, expiry_s, will }),
        (session(), prop::option::of(now()), prop::option::of(now()), any::<u64>()).prop_map(
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
        (message(), prop::option::of((session(), packet_id())), any::<bool>(), prop::collection::vec(target(), 0..3))
            .prop_map(|(message, inbound, is_retained, targets)| {
                let targets = targets.into_iter().map(|(session, qos, retain, ids, share)| Target {
                    session,
                    position: 0,
                    qos,
                    retain,
                    subscription_ids: (!ids.is_empty()).then(|| Arc::from(ids)),
                    share: share.map(Arc::new),
                    give_up_at: None,
                });
                Record::Published { message, inbound, is_retained, targets: targets.collect() }
            }),
        (session(), 0..20u64).prop_map(|(session, position)| Record::Done { session, position }),
        (session(), packet_id()).prop_map(|(session, id)| Record::InboundReleased { session, id }),
    ]
}

/// Gives targets their positions, counting up per session, and keeps Done to positions given.
fn number(records: Vec<Record>) -> Vec<Record> {
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
            Record::Done { session, position } => {
                let given = next.get(session).copied().unwrap_or(0);
                *position = if given == 0 { 0 } else { *position % given };
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Committed, closed or torn off, opened again: the same state. With a small bound the log is written anew often.
    #[test]
    fn what_was_committed_is_found_again(
        records in prop::collection::vec(record(), 1..120).prop_map(number),
        log_bytes_max in prop_oneof![Just(0u64), Just(4096), Just(1 << 20)],
        is_orderly in any::<bool>(),
        group_len in 1..9usize,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, restored) = DurableStore::open(directory.path(), 7, log_bytes_max).unwrap();
        prop_assert_eq!(restored.records, 0);
        for group in records.chunks(group_len) {
            store.commit(group).unwrap();
        }
        if is_orderly { store.close().unwrap() } else { drop(store) }
        let (_store, restored) = DurableStore::open(directory.path(), 8, log_bytes_max).unwrap();
        let expected = image_of(&records);
        prop_assert_eq!(format!("{:?}", restored.image.sessions), format!("{:?}", expected.sessions));
        prop_assert_eq!(format!("{:?}", restored.image.retained), format!("{:?}", expected.retained));
        prop_assert_eq!(restored.image.bytes(), expected.bytes());
    }

    /// The records of an image make the same image, alone or on top of it.
    #[test]
    fn an_image_says_itself(records in prop::collection::vec(record(), 1..200).prop_map(number)) {
        let image = image_of(&records);
        let mut said = Vec::new();
        image.records(&mut |record| said.push(record));
        let again = image_of(&said);
        prop_assert_eq!(format!("{:?}", again.sessions), format!("{:?}", image.sessions));
        prop_assert_eq!(format!("{:?}", again.retained), format!("{:?}", image.retained));
        let mut twice = image.clone();
        said.iter().for_each(|record| twice.apply(record));
        prop_assert_eq!(format!("{twice:?}"), format!("{image:?}"));
    }
}

#[test]
fn a_data_directory_in_use_is_refused_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let _first = DurableStore::open(directory.path(), 1, 1 << 20).unwrap();
    let Err(error) = DurableStore::open(directory.path(), 1, 1 << 20) else { panic!("opened twice") };
    assert!(error.to_string().contains("in use"), "{error}");
}
