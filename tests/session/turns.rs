//! Whose turn it is when many clients have something to do.
use crate::full_queues::passing;
use crate::packets::*;
use crate::peer::{Peer, world, world_with};
use vowmq::types::QoS;

#[test]
fn a_publisher_gives_way_once_much_waits_for_its_receivers() {
    let world = world_with(|settings| settings.mailbox_limits.messages_max = 10_000);
    let mut subscriber = world.connect(passing("subscriber"));
    subscriber.subscribe("a", QoS::AtLeastOnce);
    let mut publishers = ["first", "second"].map(|client_id| world.connect(passing(client_id)));
    let [first, second] = &mut publishers;
    second.send(publish("b"));
    first.send_all((0..1000).map(|_| publish("a").into()));
    assert!(!first.should_give_way(), "a thousand messages are no long lead");

    first.send_all((0..100).map(|_| publish("a").into()));
    assert!(first.should_give_way() && second.should_give_way(), "it is the thread that is ahead");
    assert!(!subscriber.should_give_way(), "who receives is who is waited for");

    second.has_given_way();
    assert!(!first.should_give_way(), "everybody has had a turn, and what is left waits for something else");

    first.send_all((0..1100).map(|_| publish("a").into()));
    assert!(first.should_give_way());
    while subscriber.has_next() {
        subscriber.next();
    }
    assert!(!first.should_give_way(), "its receiver has come");
}

/// How many of the subscribers have got one more message, and none more than one.
fn served(subscribers: &mut [Peer]) -> usize {
    let served = subscribers.iter_mut().filter_map(Peer::next).count();
    subscribers.iter_mut().for_each(Peer::expect_nothing);
    served
}

#[test]
fn a_wide_fan_out_is_handed_out_bit_by_bit() {
    let world = world();
    let mut subscribers: Vec<_> = (0..5).map(|number| world.connect(passing(&format!("s{number}")))).collect();
    subscribers.iter_mut().for_each(|subscriber| subscriber.subscribe("a", QoS::AtLeastOnce));
    let mut publisher = world.connect(passing("publisher"));
    publisher.hand_out_by(2);
    publisher.send(publish("a"));
    assert_eq!((served(&mut subscribers), publisher.has_more_to_hand_out()), (2, true));
    publisher.has_given_way();
    assert_eq!((served(&mut subscribers), publisher.has_more_to_hand_out()), (2, true));
    publisher.has_given_way();
    assert_eq!((served(&mut subscribers), publisher.has_more_to_hand_out()), (1, false));

    publisher.send(publish("a"));
    publisher.lose();
    assert_eq!(served(&mut subscribers), 5, "what was published is not lost with its publisher");
}
