"""How paho-mqtt logs in: logins.py PORT password USER PASSWORD, or logins.py PORT scram USER PASSWORD.

Prints what the broker said. docs/AUTHENTICATION.md shows these lines.
"""

import base64
import hashlib
import hmac
import os
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

METHOD = "SCRAM-SHA-256"


class ScramClient(mqtt.Client):
    """paho-mqtt has no AUTH of its own: this adds what SCRAM-SHA-256 (RFC 5802, RFC 7677) needs."""

    def log_in(self, user, password, host, port):
        escaped = user.replace("=", "=3D").replace(",", "=2C")
        self.secret = password.encode()
        self.first = f"n={escaped},r={base64.b64encode(os.urandom(18)).decode()}"
        self.connect(host, port, properties=self._about(PacketTypes.CONNECT, "n,," + self.first))

    def _about(self, packet_type, data):
        properties = Properties(packet_type)
        properties.AuthenticationMethod = METHOD
        properties.AuthenticationData = data.encode()
        return properties

    def _packet_handle(self):
        if self._in_packet["command"] != mqtt.AUTH:
            return super()._packet_handle()
        received = Properties(PacketTypes.AUTH)
        received.unpack(bytes(self._in_packet["packet"][1:]))
        answer = self._about(PacketTypes.AUTH, self._answer(received.AuthenticationData.decode())).pack()
        packet = bytearray([mqtt.AUTH])
        self._pack_remaining_length(packet, 1 + len(answer))
        return self._packet_queue(mqtt.AUTH, packet + b"\x18" + answer, 0, 0)

    def _answer(self, challenge):
        nonce, salt, count = (part[2:] for part in challenge.split(",")[:3])
        if not nonce.startswith(self.first.rpartition("r=")[2]):
            raise ValueError("the challenge is not for this client")
        salted = hashlib.pbkdf2_hmac("sha256", self.secret, base64.b64decode(salt), int(count))
        bare = f"c=biws,r={nonce}"
        signed = f"{self.first},{challenge},{bare}".encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(one ^ other for one, other in zip(client_key, signature))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.expected = b"v=" + base64.b64encode(hmac.digest(server_key, signed, "sha256"))
        return f"{bare},p={base64.b64encode(proof).decode()}"


def main():
    port, way, user, password = int(sys.argv[1]), *sys.argv[2:]
    answers = queue.Queue()
    kind = ScramClient if way == "scram" else mqtt.Client
    client = kind(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
    client.on_connect = lambda client, data, flags, code, properties: answers.put((code, properties))
    if way == "scram":
        client.log_in(user, password, "127.0.0.1", port)
    else:
        client.username_pw_set(user, password)
        client.connect("127.0.0.1", port)
    client.loop_start()
    code, properties = answers.get(timeout=10)
    # The broker proves that it knows the password too.
    if way == "scram" and not code.is_failure and properties.AuthenticationData != client.expected:
        sys.exit("this is not the broker that knows the password")
    print(code)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
