//! Whose turn it is when many clients have something to do.
use crate::full_queues::passing;
use crate::packets::*;
use crate::peer::world_with;
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
