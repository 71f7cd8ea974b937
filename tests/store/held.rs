//! What a session has queued is read beyond its end, however far the log has gone on since.
use bytes::Bytes;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use vowmq::store::cold::MemoryCold;
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::{DurableStore, Options, POSITIONS_MAX, Page, Queued, Record, Store, Target};
use vowmq::types::{ClientId, Message, QoS, SessionKey, Stamp, SubscriptionIds, Text, TopicName};

/// Reading a page takes microseconds, or for ever.
const PATIENCE: Duration = Duration::from_secs(30);
const SEGMENT_BYTES: u64 = 4096;
const HELD: SessionKey = SessionKey(1);
const OTHER: SessionKey = SessionKey(2);

fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        log_bytes_max: SEGMENT_BYTES,
        stride_bytes: SEGMENT_BYTES,
        spares_apart: false,
        ..Options::new(1)
    }
}

fn open() -> DurableStore {
    open_on(&Arc::new(FaultFiles::new(1, 4096)), &Arc::new(MemoryCold::default()))
}

/// A new store with two sessions.
fn open_on(files: &Arc<FaultFiles>, cold: &Arc<MemoryCold>) -> DurableStore {
    let (mut store, _) = DurableStore::open_with(files.clone(), cold.clone(), options()).unwrap();
    let begun = [HELD, OTHER].map(|session| Record::SessionBegun {
        session,
        client_id: ClientId::new(&Text::try_from(session.0.to_string().as_str()).unwrap()).unwrap(),
        is_v5: true,
    });
    store.commit(&begun).unwrap();
    store
}

fn publish(store: &mut DurableStore, session: SessionKey, position: u64) {
    store.commit(&[published(session, position)]).unwrap();
}

fn published(session: SessionKey, position: u64) -> Record {
    let message = Message {
        topic: TopicName::try_from("a").unwrap(),
        payload: Bytes::from(vec![b'x'; 500]),
        qos: QoS::AtLeastOnce,
        retain: false,
        forward: Bytes::new(),
        expires_at: None,
        received: Stamp::default(),
    };
    let target = Target {
        session,
        position,
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_ids: SubscriptionIds::default(),
        share: None,
        give_up_at: None,
    };
    Record::Published {
        message: Arc::new(message),
        inbound: None,
        is_retained: false,
        targets: [target].into_iter().collect(),
    }
}

/// Fills some segments for another session, and lets go of what a checkpoint has taken over.
fn go_on(store: &mut DurableStore, from: u64) {
    (from..from + 40).for_each(|position| publish(store, OTHER, position));
    store.checkpointer().finish().unwrap();
    store.rest().unwrap();
}

fn page(store: &DurableStore, from: u64) -> Page {
    let (shelf, (sender, receiver)) = (store.shelf(), mpsc::channel());
    std::thread::spawn(move || sender.send(shelf.page(HELD, from, 100, u64::MAX).unwrap()));
    receiver.recv_timeout(PATIENCE).expect("a page is read, and not looked for without an end")
}

fn positions(page: &Page) -> Vec<u64> {
    page.deliveries.iter().map(Queued::position).collect()
}

#[test]
fn what_is_held_is_read_though_the_log_has_gone_on() {
    let mut store = open();
    (0..3).for_each(|position| publish(&mut store, HELD, position));
    store.shelf().hold(HELD);
    store.commit(&[Record::SessionEnded { session: HELD }]).unwrap();
    go_on(&mut store, 0);
    assert_eq!(positions(&page(&store, 0)), [0, 1, 2]);
    let kept = store.log_bytes_on_disk();
    store.shelf().let_go(HELD);
    go_on(&mut store, 40);
    assert!(store.log_bytes_on_disk() < kept, "what is let go of makes room");
    assert_eq!(positions(&page(&store, 0)), [0; 0]);
}

#[test]
fn what_is_held_is_read_whether_a_checkpoint_has_taken_it_over_or_not() {
    let mut store = open();
    (0..3).for_each(|position| publish(&mut store, HELD, position));
    store.checkpointer().finish().unwrap();
    (3..5).for_each(|position| publish(&mut store, HELD, position));
    store.shelf().hold(HELD);
    store.commit(&[Record::SessionEnded { session: HELD }]).unwrap();
    go_on(&mut store, 0);
    assert_eq!(positions(&page(&store, 0)), [0, 1, 2], "what is cold");
    assert_eq!(positions(&page(&store, 3)), [3, 4], "what is in the log");
}

#[test]
fn what_lies_between_two_positions_takes_no_room_and_no_time() {
    let (files, cold) = (Arc::new(FaultFiles::new(1, 4096)), Arc::new(MemoryCold::default()));
    let mut store = open_on(&files, &cold);
    let far = 1 << 40;
    for position in [1, far, far + 1] {
        publish(&mut store, HELD, position);
    }
    store.commit(&[Record::done(OTHER, far), Record::done(HELD, far)]).unwrap();
    publish(&mut store, OTHER, far + 7);
    assert_eq!(positions(&page(&store, 0)), [1, far + 1]);
    drop(store);
    files.kill_process();
    let (store, _) = DurableStore::open_with(files.clone(), cold.clone(), options()).unwrap();
    assert_eq!(positions(&page(&store, 0)), [1, far + 1]);
    store.checkpointer().finish().unwrap();
    assert_eq!(positions(&page(&store, 0)), [1, far + 1]);
    assert_eq!(positions(&page(&store, 2)), [far + 1]);
}

#[test]
fn a_position_that_no_broker_gets_to_is_refused_by_the_start() {
    let (files, cold) = (Arc::new(FaultFiles::new(1, 4096)), Arc::new(MemoryCold::default()));
    let mut store = open_on(&files, &cold);
    publish(&mut store, HELD, POSITIONS_MAX + 1);
    drop(store);
    files.kill_process();
    let refusal = DurableStore::open_with(files, cold, options()).err().expect("nothing to begin with").to_string();
    assert!(refusal.contains("has a form that this version does not know"), "{refusal}");
}
