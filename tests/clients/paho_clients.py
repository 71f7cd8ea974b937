"""paho-mqtt against a broker: paho_clients.py HOST PORT."""

import queue
import socket
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from checks import DEADLINE_S, LARGE, UTF8_TOPIC, Missed, address, check, client_id, expect, main

HOST, PORT = address()
VERSIONS = {"v31": mqtt.MQTTv31, "v311": mqtt.MQTTv311, "v5": mqtt.MQTTv5}
EVERY_QOS = [(version, qos) for version in VERSIONS for qos in (0, 1, 2)]
SESSION_TAKEN_OVER = 0x8E


def properties(packet, **values):
    made = Properties(packet)
    for key, value in values.items():
        setattr(made, key, value)
    return made


def publish_properties(**values):
    return properties(PacketTypes.PUBLISH, **values)


class Peer:
    """A connected client. What the broker sends lands in queues that can be waited on."""

    def __init__(self, version="v5", identifier="", clean=True, expiry=None, will=None, connect=None):
        self.version = version
        is_5 = version == "v5"
        options = {} if is_5 else {"clean_session": clean}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=identifier or client_id(str(time.time_ns())),
            protocol=VERSIONS[version],
            reconnect_on_failure=False,
            **options,
        )
        self.messages, self.connects, self.grants = queue.Queue(), queue.Queue(), queue.Queue()
        self.ends = queue.Queue()
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda client, data, flags, code, props: self.connects.put((flags, code, props))
        self.client.on_subscribe = lambda client, data, packet_id, codes, props: self.grants.put(codes)
        self.client.on_disconnect = lambda client, data, flags, code, props: self.ends.put((flags, code))
        if will:
            self.client.will_set(**will)
        if is_5:
            asked = dict(connect or {})
            if expiry is not None:
                asked["SessionExpiryInterval"] = expiry
            self.client.connect(
                HOST, PORT, clean_start=clean, properties=properties(PacketTypes.CONNECT, **asked)
            )
        else:
            self.client.connect(HOST, PORT)
        self.client.loop_start()
        flags, code, self.connack = taken(self.connects, "CONNACK")
        expect(code.is_failure, False, f"refused: {code}")
        self.session_present = flags.session_present

    def subscribe(self, topic_filter, qos=2, identifier=None, **options):
        if self.version == "v5":
            options = SubscribeOptions(qos=qos, **options)
            props = properties(PacketTypes.SUBSCRIBE, **({"SubscriptionIdentifier": identifier} if identifier else {}))
            self.client.subscribe(topic_filter, options=options, properties=props)
        else:
            self.client.subscribe(topic_filter, qos)
        codes = taken(self.grants, "SUBACK")
        expect([code.value for code in codes], [qos], "granted QoS")
        return self

    def publish(self, topic, payload, qos=1, retain=False, props=None):
        """Returns once the message is acknowledged (QoS 0: sent)."""
        info = self.client.publish(topic, payload, qos, retain, props)
        info.wait_for_publish(DEADLINE_S)
        expect(info.is_published(), True, f"{topic} acknowledged")

    def next(self):
        return taken(self.messages, "message")

    def next_is(self, topic, payload, qos, retain=False):
        message = self.next()
        expect(message.topic, topic, "topic")
        expect(message.payload, payload, "payload")
        expect((message.qos, message.retain), (qos, retain), "QoS and RETAIN")
        return message

    def until(self, topic):
        """Payloads that came before a message on this topic."""
        payloads = []
        while (message := self.next()).topic != topic:
            payloads.append(message.payload)
        return payloads

    def lose_connection(self):
        self.client.socket().shutdown(socket.SHUT_RDWR)
        taken(self.ends, "end of the connection")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


def taken(source, what):
    try:
        return source.get(timeout=DEADLINE_S)
    except queue.Empty:
        raise Missed(f"no {what}") from None


@check(*EVERY_QOS)
def delivers(name, version, qos):
    with Peer(version) as subscriber, Peer(version) as publisher:
        subscriber.subscribe(name)
        publisher.publish(name, b"hello", qos)
        subscriber.next_is(name, b"hello", qos)


@check(*EVERY_QOS)
def keeps_order(name, version, qos):
    with Peer(version) as subscriber, Peer(version) as publisher:
        subscriber.subscribe(name)
        infos = [publisher.client.publish(name, b"%d" % number, qos) for number in range(500)]
        for info in infos:
            info.wait_for_publish(DEADLINE_S)
        for number in range(500):
            subscriber.next_is(name, b"%d" % number, qos)


@check(*[(version, published, granted) for version in VERSIONS for published in (0, 1, 2) for granted in (0, 1, 2)])
def delivers_at_the_lower_qos(name, version, published, granted):
    with Peer(version) as peer:
        peer.subscribe(name, granted)
        peer.publish(name, b"x", published)
        peer.next_is(name, b"x", min(published, granted))


@check(*EVERY_QOS)
def retained(name, version, qos):
    with Peer(version) as publisher:
        publisher.subscribe(name)
        publisher.publish(name, b"kept", qos, retain=True)
        publisher.next_is(name, b"kept", qos)
    with Peer(version) as subscriber:
        subscriber.subscribe(name)
        subscriber.next_is(name, b"kept", qos, retain=True)


@check(*[(version,) for version in VERSIONS])
def retained_is_cleared_by_an_empty_payload(name, version):
    with Peer(version) as peer:
        peer.publish(name, b"kept", retain=True)
        peer.publish(name, b"", retain=True)
        peer.subscribe(name + "/#")
        peer.publish(name + "/end", b"end")
        expect(peer.until(name + "/end"), [], "retained messages")


@check(*EVERY_QOS)
def will(name, version, qos):
    testament = {"topic": name, "payload": b"gone", "qos": qos}
    with Peer(version) as heir, Peer(version, will=testament) as dying:
        heir.subscribe(name)
        dying.lose_connection()
        heir.next_is(name, b"gone", qos)


@check(*[(version,) for version in VERSIONS])
def no_will_after_disconnect(name, version):
    testament = {"topic": name + "/will", "payload": b"gone", "qos": 1}
    with Peer(version) as heir:
        heir.subscribe(name + "/#")
        with Peer(version, will=testament) as leaving:
            leaving.client.disconnect()
            taken(leaving.ends, "end of the connection")
        # The same client again: its first connection is over and done when this one is accepted.
        with Peer(version) as late:
            late.publish(name + "/end", b"end")
        expect(heir.until(name + "/end"), [], "wills")


@check()
def will_delay_is_cut_short_by_the_session_end(name):
    testament = {
        "topic": name,
        "payload": b"gone",
        "qos": 1,
        "properties": properties(PacketTypes.WILLMESSAGE, WillDelayInterval=3600, UserProperty=[("why", "lost")]),
    }
    with Peer() as heir, Peer(will=testament, expiry=1) as dying:
        heir.subscribe(name)
        dying.lose_connection()
        message = heir.next_is(name, b"gone", 1)
        expect(message.properties.UserProperty, [("why", "lost")], "user properties of the will")


@check(*[(version, qos) for version in VERSIONS for qos in (1, 2)])
def kept_while_offline(name, version, qos):
    session = {"version": version, "identifier": client_id(name), "clean": False, "expiry": 3600}
    with Peer(**session) as first:
        expect(first.session_present, False, "session present at first")
        first.subscribe(name)
    with Peer(version) as publisher:
        for number in range(50):
            publisher.publish(name, b"%d" % number, qos)
    with Peer(**session) as back:
        # MQTT 3.1 has no such flag in its CONNACK.
        if version != "v31":
            expect(back.session_present, True, "session present when back")
        for number in range(50):
            back.next_is(name, b"%d" % number, qos)


@check(("v311",), ("v5",))
def clean_start_forgets_the_session(name, version):
    identifier = client_id(name)
    with Peer(version, identifier, clean=False, expiry=3600) as first:
        first.subscribe(name)
    with Peer(version, identifier, clean=True) as clean, Peer(version) as publisher:
        expect(clean.session_present, False, "session present")
        publisher.publish(name, b"nobody wants this")
        clean.subscribe(name + "/end")
        publisher.publish(name + "/end", b"end")
        expect(clean.until(name + "/end"), [], "messages of the old session")


@check(*EVERY_QOS)
def large_payload(name, version, qos):
    with Peer(version) as peer:
        peer.subscribe(name)
        peer.publish(name, LARGE, qos)
        peer.next_is(name, LARGE, qos)


@check(*EVERY_QOS)
def empty_payload(name, version, qos):
    with Peer(version) as peer:
        peer.subscribe(name)
        peer.publish(name, b"", qos)
        peer.next_is(name, b"", qos)


@check(*[(version,) for version in VERSIONS])
def utf8_topic(name, version):
    with Peer(version) as peer:
        peer.subscribe(name + "/#")
        peer.publish(f"{name}/{UTF8_TOPIC}", "grüße".encode())
        peer.next_is(f"{name}/{UTF8_TOPIC}", "grüße".encode(), 1)


@check(("v311",), ("v5",))
def session_takeover(name, version):
    identifier = client_id(name)
    with Peer(version, identifier) as old, Peer(version, identifier) as new:
        _, code = taken(old.ends, "end of the old connection")
        if version == "v5":
            expect(code.value, SESSION_TAKEN_OVER, "reason code for the old connection")
        new.subscribe(name)
        new.publish(name, b"still here")
        new.next_is(name, b"still here", 1)


@check((0,), (1,), (2,))
def shared_subscription_serves_one_member_each(name, qos):
    with Peer() as one, Peer() as other, Peer() as publisher:
        for member in (one, other):
            member.messages = one.messages
            member.subscribe(f"$share/group/{name}", qos)
        for number in range(100):
            publisher.publish(name, b"%d" % number, qos)
        got = sorted(int(one.next().payload) for _ in range(100))
        expect(got, list(range(100)), "messages of both members together")
        expect(one.messages.qsize(), 0, "copies too many")


@check((0,), (1,), (2,))
def properties_are_passed_on(name, qos):
    sent = publish_properties(
        UserProperty=[("a", "1"), ("b", "2"), ("a", "3")],
        ContentType="text/plain",
        ResponseTopic=name + "/answer",
        CorrelationData=b"\x00request\xff",
        PayloadFormatIndicator=1,
    )
    with Peer() as peer:
        peer.subscribe(name)
        peer.publish(name, b"7", qos, props=sent)
        got = peer.next_is(name, b"7", qos).properties
        for key in ("UserProperty", "ContentType", "ResponseTopic", "CorrelationData", "PayloadFormatIndicator"):
            expect(getattr(got, key, None), getattr(sent, key), key)


@check()
def request_is_answered(name):
    with Peer() as asking, Peer() as answering:
        answering.subscribe(name + "/question")
        asking.subscribe(name + "/answer")
        asked = publish_properties(ResponseTopic=name + "/answer", CorrelationData=b"7")
        asking.publish(name + "/question", b"how much?", props=asked)
        question = answering.next().properties
        answer = publish_properties(CorrelationData=question.CorrelationData)
        answering.publish(question.ResponseTopic, b"42", props=answer)
        expect(asking.next_is(name + "/answer", b"42", 1).properties.CorrelationData, b"7", "correlation data")


@check()
def expired_messages_are_not_delivered(name):
    session = {"identifier": client_id(name), "clean": False, "expiry": 3600}
    with Peer(**session) as first:
        first.subscribe(name)
    short, long = publish_properties(MessageExpiryInterval=1), publish_properties(MessageExpiryInterval=3600)
    with Peer() as publisher:
        publisher.publish(name, b"short", props=short)
        publisher.publish(name, b"long", props=long)
        # A retained message that expires later than the short one is the clock: once it is gone, so must the other be.
        later = publish_properties(MessageExpiryInterval=2)
        publisher.publish(name + "/clock/later", b"tick", retain=True, props=later)
        publisher.publish(name + "/clock/long", b"tock", retain=True, props=long)
    deadline = time.monotonic() + DEADLINE_S
    while clock(name) != [b"tock"]:
        expect(time.monotonic() < deadline, True, "the retained message expires in time")
    with Peer(**session) as back:
        left = back.next_is(name, b"long", 1).properties.MessageExpiryInterval
        expect(left in range(3500, 3600), True, f"{left} s left of 3600")


def clock(name):
    with Peer() as reader:
        reader.subscribe(name + "/clock/#")
        reader.publish(name + "/clock/end", b"end")
        return reader.until(name + "/clock/end")


@check()
def subscription_identifiers_come_back(name):
    with Peer() as peer:
        peer.subscribe(name + "/#", identifier=268435455)
        peer.publish(name + "/one", b"1")
        expect(peer.next().properties.SubscriptionIdentifier, [268435455], "identifiers of one subscription")
        peer.subscribe(name + "/+/two", identifier=7)
        peer.publish(name + "/one/two", b"2")
        peer.publish(name + "/end", b"3")
        identifiers = []
        while (message := peer.next()).topic != name + "/end":
            identifiers += message.properties.SubscriptionIdentifier
        expect(sorted(identifiers), [7, 268435455], "identifiers of overlapping subscriptions")


@check((0,), (1,), (2,))
def topic_alias_stands_for_its_topic(name, qos):
    with Peer() as subscriber, Peer() as publisher:
        expect(getattr(publisher.connack, "TopicAliasMaximum", 0) > 0, True, "the broker takes topic aliases")
        subscriber.subscribe(name + "/+")
        for topic, payload in (("/a", b"1"), ("", b"2"), ("/b", b"3"), ("", b"4")):
            full = name + topic if topic else ""
            publisher.publish(full, payload, qos, props=publish_properties(TopicAlias=1))
        for topic, payload in (("/a", b"1"), ("/a", b"2"), ("/b", b"3"), ("/b", b"4")):
            subscriber.next_is(name + topic, payload, qos)


@check()
def empty_client_identifier_gets_one_assigned(name):
    done = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="", protocol=mqtt.MQTTv5)
    client.on_connect = lambda client, data, flags, code, props: done.put(props)
    client.connect(HOST, PORT)
    client.loop_start()
    assigned = getattr(taken(done, "CONNACK"), "AssignedClientIdentifier", "")
    client.disconnect()
    client.loop_stop()
    expect(len(assigned) > 0, True, "assigned client identifier")


@check((1,), (2,))
def receive_maximum_of_one_still_gets_everything(name, qos):
    with Peer(connect={"ReceiveMaximum": 1}) as subscriber, Peer() as publisher:
        subscriber.subscribe(name)
        for number in range(100):
            publisher.publish(name, b"%d" % number, qos)
        for number in range(100):
            subscriber.next_is(name, b"%d" % number, qos)


@check()
def subscribe_options_are_kept(name):
    with Peer() as peer:
        peer.publish(name + "/old", b"old", retain=True)
        peer.subscribe(name + "/old", retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        peer.subscribe(name + "/own", noLocal=True)
        peer.subscribe(name + "/flag", retainAsPublished=True)
        peer.publish(name + "/own", b"own")
        peer.publish(name + "/flag", b"flag", retain=True)
        peer.next_is(name + "/flag", b"flag", 1, retain=True)


@check(("v311",), ("v5",))
def unsubscribed_topics_fall_silent(name, version):
    with Peer(version) as peer:
        peer.subscribe(name + "/a").subscribe(name + "/b")
        left = threading.Event()
        peer.client.on_unsubscribe = lambda *_: left.set()
        peer.client.unsubscribe(name + "/a")
        expect(left.wait(DEADLINE_S), True, "UNSUBACK")
        peer.publish(name + "/a", b"no")
        peer.publish(name + "/b", b"yes")
        peer.next_is(name + "/b", b"yes", 1)


main()
