"""What the Python client scripts share: named checks, run one after the other, one line of result each."""

import hashlib
import os
import pathlib
import sys
import traceback

DEADLINE_S = 10
LARGE = bytes(range(256)) * 800  # 200 KB with every byte value in it
UTF8_TOPIC = "prüfung/温度/датчик/🌡"

_checks = []


class Missed(Exception):
    """A check did not see what it waits for."""


def check(*cases):
    """Registers a function as a check, once for each of `cases` (tuples of arguments) or once without arguments."""

    def register(function):
        for arguments in cases or [()]:
            name = "_".join([function.__name__, *map(str, arguments)])
            _checks.append((name, function, arguments))
        return function

    return register


def expect(got, want, what):
    if got != want:
        raise Missed(f"{what}: {brief(got)} instead of {brief(want)}")


def brief(value):
    if isinstance(value, bytes) and len(value) > 60:
        return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:12]}"
    return repr(value)


def client_id(name):
    """Distinct for each check and short enough for MQTT 3.1, which allows 23 bytes."""
    return "c" + hashlib.sha256(name.encode()).hexdigest()[:16]


def main(run=None):
    """Runs every check (`run` calls one, if it needs an event loop) and exits with 1 if one failed.

    A check gets a name no other run has used: for its topics, and for its client identifiers by way of `client_id`.
    """
    failed = 0
    this_run = f"{pathlib.Path(sys.argv[0]).stem}{os.getpid()}"
    for name, function, arguments in _checks:
        try:
            if run:
                run(function, f"{this_run}/{name}", *arguments)
            else:
                function(f"{this_run}/{name}", *arguments)
            print(f"ok {name}", flush=True)
        except Exception as error:
            failed += 1
            trace = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in trace if frame.name == function.__name__]
            print(f"FAIL {name}: {type(error).__name__} {error} (line {lines[-1] if lines else '?'})", flush=True)
    print(f"{len(_checks) - failed} ok, {failed} failed")
    sys.exit(1 if failed else 0)


def address():
    """Host and port from the command line."""
    return sys.argv[1], int(sys.argv[2])
