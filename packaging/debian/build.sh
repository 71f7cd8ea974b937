#!/bin/sh
# Makes the Debian package; its path is the last line. Needs cargo-deb (cargo install cargo-deb --locked).
# PROFILE chooses how it is compiled: release, or dev for a quick try.
set -eu
cd "$(dirname "$0")/../.."

profile=${PROFILE:-release}
case $profile in dev) directory=debug ;; *) directory=$profile ;; esac
cargo build --locked --profile "$profile" --bin vowmq
program=target/$directory/vowmq

# What the program can tell of itself.
mkdir -p target/packaging
"$program" man >target/packaging/vowmq.1
"$program" completions bash >target/packaging/vowmq.bash
"$program" completions zsh >target/packaging/_vowmq
"$program" completions fish >target/packaging/vowmq.fish

cargo deb --no-build --profile "$profile" --output target/packaging/
