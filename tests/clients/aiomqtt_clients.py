"""aiomqtt against a broker: aiomqtt_clients.py HOST PORT."""

import asyncio
import logging
import socket
import time

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from checks import DEADLINE_S, LARGE, UTF8_TOPIC, address, check, client_id, expect, main

# aiomqtt remarks on many calls at once and on futures nobody waits for when a connection is lost: both are meant here.
logging.disable(logging.ERROR)

HOST, PORT = address()
VERSIONS = {"v31": aiomqtt.ProtocolVersion.V31, "v311": aiomqtt.ProtocolVersion.V311, "v5": aiomqtt.ProtocolVersion.V5}
EVERY_QOS = [(version, qos) for version in VERSIONS for qos in (0, 1, 2)]


def properties(packet, **values):
    made = Properties(packet)
    for key, value in values.items():
        setattr(made, key, value)
    return made


def client(version="v5", identifier=None, persistent=False, **options):
    if version == "v5":
        options["clean_start"] = not persistent
        if persistent:
            options["properties"] = properties(PacketTypes.CONNECT, SessionExpiryInterval=3600)
    else:
        options["clean_session"] = not persistent
    identifier = identifier or client_id(str(time.time_ns()))
    return aiomqtt.Client(HOST, PORT, identifier=identifier, protocol=VERSIONS[version], timeout=DEADLINE_S, **options)


async def next_message(peer):
    return await asyncio.wait_for(anext(aiter(peer.messages)), DEADLINE_S)


async def next_is(peer, topic, payload, qos, retain=False):
    message = await next_message(peer)
    expect(str(message.topic), topic, "topic")
    expect(message.payload, payload, "payload")
    expect((message.qos, message.retain), (qos, retain), "QoS and RETAIN")
    return message


@check(*EVERY_QOS)
async def delivers(name, version, qos):
    async with client(version) as subscriber, client(version) as publisher:
        await subscriber.subscribe(name, qos=2)
        await publisher.publish(name, b"hello", qos=qos)
        await next_is(subscriber, name, b"hello", qos)


@check(*EVERY_QOS)
async def many_at_once(name, version, qos):
    async with client(version) as subscriber, client(version, max_concurrent_outgoing_calls=100) as publisher:
        await subscriber.subscribe(name, qos=2)
        await asyncio.gather(*(publisher.publish(name, b"%d" % number, qos=qos) for number in range(200)))
        got = sorted([int((await next_message(subscriber)).payload) for _ in range(200)])
        expect(got, list(range(200)), "messages")


@check(*EVERY_QOS)
async def retained(name, version, qos):
    async with client(version) as publisher:
        await publisher.subscribe(name, qos=2)
        await publisher.publish(name, b"kept", qos=qos, retain=True)
        await next_is(publisher, name, b"kept", qos)
    async with client(version) as subscriber:
        await subscriber.subscribe(name, qos=2)
        await next_is(subscriber, name, b"kept", qos, retain=True)


@check(*EVERY_QOS)
async def will(name, version, qos):
    async with client(version) as heir:
        await heir.subscribe(name, qos=2)
        try:
            async with client(version, will=aiomqtt.Will(name, b"gone", qos=qos)) as dying:
                # aiomqtt always says goodbye; only below it can a connection be lost.
                dying._client.socket().shutdown(socket.SHUT_RDWR)
                await next_is(heir, name, b"gone", qos)
        except aiomqtt.MqttError:
            # It notices the loss on leaving.
            pass


@check(*[(version, qos) for version in VERSIONS for qos in (1, 2)])
async def kept_while_offline(name, version, qos):
    identifier = client_id(name)
    async with client(version, identifier, persistent=True) as first:
        await first.subscribe(name, qos=2)
    async with client(version) as publisher:
        for number in range(50):
            await publisher.publish(name, b"%d" % number, qos=qos)
    async with client(version, identifier, persistent=True) as back:
        for number in range(50):
            await next_is(back, name, b"%d" % number, qos)


@check(*EVERY_QOS)
async def large_payload(name, version, qos):
    async with client(version) as peer:
        await peer.subscribe(name, qos=2)
        await peer.publish(name, LARGE, qos=qos)
        await next_is(peer, name, LARGE, qos)


@check(*EVERY_QOS)
async def empty_payload(name, version, qos):
    async with client(version) as peer:
        await peer.subscribe(name, qos=2)
        await peer.publish(name, b"", qos=qos)
        await next_is(peer, name, b"", qos)


@check(*[(version,) for version in VERSIONS])
async def utf8_topic(name, version):
    async with client(version) as peer:
        await peer.subscribe(name + "/#", qos=1)
        await peer.publish(f"{name}/{UTF8_TOPIC}", "grüße".encode(), qos=1)
        await next_is(peer, f"{name}/{UTF8_TOPIC}", "grüße".encode(), 1)


@check((0,), (1,), (2,))
async def shared_subscription_serves_one_member_each(name, qos):
    async with client() as one, client() as other, client() as publisher:
        for member in (one, other):
            await member.subscribe(f"$share/group/{name}", qos=qos)
        got = []

        async def collect(member):
            async for message in member.messages:
                got.append(int(message.payload))
                if len(got) == 100:
                    enough.set()

        enough = asyncio.Event()
        collectors = [asyncio.create_task(collect(member)) for member in (one, other)]
        for number in range(100):
            await publisher.publish(name, b"%d" % number, qos=qos)
        await asyncio.wait_for(enough.wait(), DEADLINE_S)
        for collector in collectors:
            collector.cancel()
        expect(sorted(got), list(range(100)), "messages of both members together")


@check((0,), (1,), (2,))
async def properties_are_passed_on(name, qos):
    sent = properties(
        PacketTypes.PUBLISH,
        UserProperty=[("a", "1"), ("b", "2"), ("a", "3")],
        ResponseTopic=name + "/answer",
        CorrelationData=b"\x00request\xff",
        ContentType="text/plain",
        MessageExpiryInterval=100,
    )
    async with client() as peer:
        await peer.subscribe(name, qos=2)
        await peer.publish(name, b"7", qos=qos, properties=sent)
        got = (await next_is(peer, name, b"7", qos)).properties
        for key in ("UserProperty", "ResponseTopic", "CorrelationData", "ContentType"):
            expect(getattr(got, key, None), getattr(sent, key), key)
        expect(got.MessageExpiryInterval in range(90, 101), True, f"{got.MessageExpiryInterval} s left of 100")


@check()
async def subscription_identifier_comes_back(name):
    async with client() as peer:
        identified = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=4711)
        await peer.subscribe(name, options=SubscribeOptions(qos=1), properties=identified)
        await peer.publish(name, b"7", qos=1)
        message = await next_is(peer, name, b"7", 1)
        expect(message.properties.SubscriptionIdentifier, [4711], "subscription identifiers")


@check((0,), (1,), (2,))
async def topic_alias_stands_for_its_topic(name, qos):
    async with client() as peer:
        await peer.subscribe(name, qos=2)
        for topic, payload in ((name, b"1"), ("", b"2")):
            alias = properties(PacketTypes.PUBLISH, TopicAlias=1)
            await peer.publish(topic, payload, qos=qos, properties=alias)
            await next_is(peer, name, payload, qos)


@check(("v311",), ("v5",))
async def session_takeover(name, version):
    identifier = client_id(name)
    try:
        async with client(version, identifier) as old:
            async with client(version, identifier) as new:
                await new.subscribe(name, qos=1)
                await new.publish(name, b"still here", qos=1)
                await next_is(new, name, b"still here", 1)
                await next_message(old)
    except aiomqtt.MqttError:
        return
    expect("open", "closed", "the old connection")


main(run=lambda function, name, *arguments: asyncio.run(function(name, *arguments)))
