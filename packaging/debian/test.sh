#!/bin/sh
# Builds the package, installs it, runs the broker as its unit would, upgrades, removes and purges it. Needs root, cargo-deb
# and mosquitto-clients; leaves nothing behind. Not to be run where VowMQ is in use.
set -eu
cd "$(dirname "$0")/../.."

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || fail "it installs a package, which takes root"
! dpkg -s vowmq >/dev/null 2>&1 || fail "vowmq is installed here; its data would be at risk"
[ ! -e /var/lib/vowmq ] && [ ! -e /etc/vowmq ] || fail "/var/lib/vowmq or /etc/vowmq is there already"

package=$(packaging/debian/build.sh | tail -n 1)
pid=
clean_up() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    dpkg --purge vowmq >/dev/null 2>&1 || true
    rm -rf /var/lib/vowmq
    ! getent passwd vowmq >/dev/null || deluser --system --quiet vowmq || true
}
trap clean_up EXIT

mode() { stat -c '%U:%G %a' "$1"; }

echo "== install $package"
# The unit is not started here: another broker may have the port.
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -qq "./$package" >/dev/null
[ "$(mode /etc/vowmq)" = "root:vowmq 750" ] || fail "/etc/vowmq: $(mode /etc/vowmq)"
[ "$(mode /var/lib/vowmq)" = "vowmq:vowmq 700" ] || fail "/var/lib/vowmq: $(mode /var/lib/vowmq)"
dpkg-query -W -f '${Conffiles}' vowmq | grep -q '/etc/vowmq/vowmq.toml' || fail "the conf file is no conffile"
for file in /usr/lib/systemd/system/vowmq.service /usr/lib/systemd/system/vowmq.socket /usr/share/man/man1/vowmq.1.gz \
    /usr/share/bash-completion/completions/vowmq /usr/share/doc/vowmq/MIGRATE.md.gz /usr/share/doc/vowmq/copyright; do
    [ -e "$file" ] || [ -e "/lib${file#/usr/lib}" ] || [ -e "${file%.gz}" ] || fail "$file is missing"
done
vowmq check --config /etc/vowmq/vowmq.toml >/dev/null || fail "the conf file has mistakes"

echo "== run it as the unit does"
unit=$(dpkg -L vowmq | grep 'vowmq\.service$')
start=$(sed -n 's/^ExecStart=//p' "$unit")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cd /var/lib/vowmq
# shellcheck disable=SC2086 # the command line has to be split
setpriv --reuid=vowmq --regid=vowmq --clear-groups --no-new-privs --bounding-set=-all \
    env VOWMQ_LISTEN="127.0.0.1:$port" VOWMQ_ADMIN__ADDRESS="127.0.0.1:0" $start 2>/tmp/vowmq-package-test.log &
pid=$!
for _ in $(seq 100); do
    mosquitto_pub -p "$port" -q 1 -r -t package/test -m kept 2>/dev/null && break
    kill -0 "$pid" || fail "it does not start: $(cat /tmp/vowmq-package-test.log)"
    sleep 0.1
done
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
setpriv --reuid=vowmq --regid=vowmq --clear-groups \
    env VOWMQ_LISTEN="127.0.0.1:$port" VOWMQ_ADMIN__ADDRESS="127.0.0.1:0" $start 2>>/tmp/vowmq-package-test.log &
pid=$!
for _ in $(seq 100); do
    vowmq ctl --config /etc/vowmq/vowmq.toml ready >/dev/null 2>&1 && break
    sleep 0.1
done
[ "$(mosquitto_sub -p "$port" -t package/test -C 1 -W 5)" = kept ] || fail "the retained message is gone"
kill "$pid"
wait "$pid" || fail "it did not end well: $(cat /tmp/vowmq-package-test.log)"
pid=
cd - >/dev/null

echo "== upgrade: changed settings stay"
echo "# changed here" >>/etc/vowmq/vowmq.toml
chmod 0700 /etc/vowmq
dpkg -i "$package" >/dev/null
grep -q "changed here" /etc/vowmq/vowmq.toml || fail "the conf file was overwritten"
[ "$(mode /etc/vowmq)" = "root:vowmq 700" ] || fail "a mode that was chosen is gone: $(mode /etc/vowmq)"

echo "== remove and purge: settings go with the purge, data stays"
dpkg -r vowmq >/dev/null
[ -e /etc/vowmq/vowmq.toml ] && [ ! -e /usr/bin/vowmq ] || fail "removal took the wrong things"
dpkg --purge vowmq >/dev/null 2>&1
[ ! -e /etc/vowmq ] || fail "the purge left /etc/vowmq"
[ -e /var/lib/vowmq ] || fail "the purge threw messages away"
rm -f /tmp/vowmq-package-test.log
echo "all is well"
