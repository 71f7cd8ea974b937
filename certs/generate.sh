#!/bin/sh
# Makes a CA, a server certificate and a client certificate to try TLS with, in this directory. Arguments go on to
# `vowmq certs`, e.g. --name broker.example.org --client sensor-7. What it makes is never committed.
set -eu
cd "$(dirname "$0")"
exec "${VOWMQ:-../target/release/vowmq}" certs --out . "$@"
