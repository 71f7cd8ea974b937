"""mosquitto_pub and mosquitto_sub against a broker: mosquitto.py HOST PORT."""

import queue
import subprocess
import tempfile
import threading

from checks import DEADLINE_S, LARGE, UTF8_TOPIC, Missed, address, check, client_id, expect, main

HOST, PORT = address()
VERSIONS = ["mqttv31", "mqttv311", "mqttv5"]
EVERY_QOS = [(version, qos) for version in VERSIONS for qos in (0, 1, 2)]
FORMAT = "MESSAGE|%q|%r|%x|%t"


def publish(version, topic, payload, *options, qos=1):
    """Returns once mosquitto_pub has its acknowledgement."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(payload)
        file.flush()
        what = ["-f", file.name] if payload else ["-n"]
        command = ["mosquitto_pub", "-h", HOST, "-p", str(PORT), "-V", version, "-t", topic, "-q", str(qos), *what]
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=DEADLINE_S)
    if done.returncode:
        raise Missed(f"mosquitto_pub ended with {done.returncode}: {done.stdout}{done.stderr}")


class Subscriber:
    """A mosquitto_sub whose subscriptions are granted once the constructor returns."""

    def __init__(self, version, *filters, options=(), qos=2, form=FORMAT, granted=True):
        command = ["stdbuf", "-oL", "mosquitto_sub", "-d", "-h", HOST, "-p", str(PORT), "-V", version, "-q", str(qos)]
        for topic_filter in filters:
            command += ["-t", topic_filter]
        self.process = subprocess.Popen(
            [*command, "-F", form, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.messages = queue.Queue()
        self.granted = threading.Event()
        self.talk = []
        threading.Thread(target=self._read, daemon=True).start()
        if granted and not self.granted.wait(DEADLINE_S):
            self.process.kill()
            raise Missed("not subscribed: " + "; ".join(self.talk))

    def _read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith("MESSAGE|"):
                self.messages.put(line.split("|")[1:])
            elif line.startswith("Subscribed"):
                self.granted.set()
            else:
                self.talk.append(line[:200])

    def next(self):
        try:
            return self.messages.get(timeout=DEADLINE_S)
        except queue.Empty:
            raise Missed("no message: " + "; ".join(self.talk[-5:])) from None

    def next_is(self, qos, retain, payload, topic):
        got_qos, got_retain, got_payload, got_topic = self.next()
        expect(got_topic, topic, "topic")
        expect(bytes.fromhex(got_payload), payload, "payload")
        expect((got_qos, got_retain), (str(qos), str(retain)), "QoS and RETAIN")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@check(*EVERY_QOS)
def delivers(name, version, qos):
    with Subscriber(version, name) as subscriber:
        publish(version, name, b"hello", qos=qos)
        subscriber.next_is(qos, 0, b"hello", name)


@check(*EVERY_QOS)
def retained(name, version, qos):
    # Without an acknowledgement (QoS 0) only a live subscriber tells when the broker has the message.
    with Subscriber(version, name) as witness:
        publish(version, name, b"kept", "-r", qos=qos)
        witness.next_is(qos, 0, b"kept", name)
    with Subscriber(version, name) as subscriber:
        subscriber.next_is(qos, 1, b"kept", name)


@check(*[(version,) for version in VERSIONS])
def retained_is_cleared_by_an_empty_payload(name, version):
    publish(version, name + "/kept", b"kept", "-r")
    publish(version, name + "/kept", b"", "-r")
    publish(version, name + "/other", b"other", "-r")
    with Subscriber(version, name + "/+") as subscriber:
        subscriber.next_is(1, 1, b"other", name + "/other")
        publish(version, name + "/end", b"end")
        subscriber.next_is(1, 0, b"end", name + "/end")


@check(*EVERY_QOS)
def will(name, version, qos):
    testament = ["--will-topic", name, "--will-payload", "gone", "--will-qos", str(qos)]
    with Subscriber(version, name) as heir:
        with Subscriber(version, name + "/idle", options=testament) as dying:
            dying.process.kill()
            heir.next_is(qos, 0, b"gone", name)


@check(*[(version, qos) for version in VERSIONS for qos in (1, 2)])
def kept_while_offline(name, version, qos):
    session = ["-i", client_id(name), "-c", *(["-x", "3600"] if version == "mqttv5" else [])]
    with Subscriber(version, name, options=[*session, "-E"], qos=qos) as first:
        first.process.wait(DEADLINE_S)
    for number in range(20):
        publish(version, name, b"%d" % number, qos=qos)
    with Subscriber(version, name, options=session, qos=qos, granted=False) as back:
        for number in range(20):
            back.next_is(qos, 0, b"%d" % number, name)


@check(*EVERY_QOS)
def large_payload(name, version, qos):
    with Subscriber(version, name) as subscriber:
        publish(version, name, LARGE, qos=qos)
        subscriber.next_is(qos, 0, LARGE, name)


@check(*EVERY_QOS)
def empty_payload(name, version, qos):
    with Subscriber(version, name) as subscriber:
        publish(version, name, b"", qos=qos)
        subscriber.next_is(qos, 0, b"", name)


@check(*[(version,) for version in VERSIONS])
def utf8_topic(name, version):
    topic = f"{name}/{UTF8_TOPIC}"
    with Subscriber(version, name + "/#") as subscriber:
        publish(version, topic, "grüße".encode())
        subscriber.next_is(1, 0, "grüße".encode(), topic)


@check(*[(one, other) for one in VERSIONS for other in VERSIONS if one != other])
def between_versions(name, one, other):
    with Subscriber(other, name) as subscriber:
        publish(one, name, b"across", qos=2)
        subscriber.next_is(2, 0, b"across", name)


@check((0,), (1,), (2,))
def shared_subscription_serves_one_member_each(name, qos):
    group = f"$share/{client_id(name)}/{name}"
    with Subscriber("mqttv5", group) as one, Subscriber("mqttv5", group) as other:
        other.messages = one.messages
        for number in range(10):
            publish("mqttv5", name, b"%d" % number, qos=qos)
        got = sorted(int(bytes.fromhex(one.next()[2])) for _ in range(10))
        expect(got, list(range(10)), "messages of both members together")
        expect(one.messages.qsize(), 0, "copies too many")


@check((0,), (1,), (2,))
def properties_are_passed_on(name, qos):
    properties = {
        "user-property": ["colour", "green"],
        "content-type": ["text/plain"],
        "response-topic": [name + "/answer"],
        "correlation-data": ["request 7"],
        "payload-format-indicator": ["1"],
    }
    options = [word for key, values in properties.items() for word in ["-D", "publish", key, *values]]
    with Subscriber("mqttv5", name, form="MESSAGE|%P|%C|%R|%D|%F") as subscriber:
        publish("mqttv5", name, b"7", *options, qos=qos)
        want = ["colour:green", "text/plain", name + "/answer", "request 7", "1"]
        expect([field.strip() for field in subscriber.next()], want, "properties")


@check()
def message_expiry_is_passed_on(name):
    with Subscriber("mqttv5", name, form="MESSAGE|%E") as subscriber:
        publish("mqttv5", name, b"", "-D", "publish", "message-expiry-interval", "100")
        left = int(subscriber.next()[0])
        expect(left in range(90, 101), True, f"{left} s left of 100")


@check()
def subscription_identifier_comes_back(name):
    option = ["-D", "subscribe", "subscription-identifier", "4711"]
    with Subscriber("mqttv5", name, options=option, form="MESSAGE|%S") as subscriber:
        publish("mqttv5", name, b"")
        expect(subscriber.next(), ["4711"], "subscription identifiers")


@check()
def topic_alias_of_the_publisher_is_not_passed_on(name):
    with Subscriber("mqttv5", name, form="MESSAGE|%A|%t") as subscriber:
        publish("mqttv5", name, b"", "-D", "publish", "topic-alias", "1")
        expect(subscriber.next()[1], name, "topic")


main()
