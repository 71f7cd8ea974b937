#!/usr/bin/env bash
# Installs the MQTT clients the tests use: mosquitto with its tools, paho-mqtt and aiomqtt (Python), mqtt (Node), a Prometheus
# exporter, and what drives and judges the dashboard in Chromium.
# Quick when all is there already; only what misses is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

apt_updated=no
apt_install() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        as_root=(sudo)
    fi
    if [ "$apt_updated" = no ]; then
        "${as_root[@]}" apt-get update -qq
        apt_updated=yes
    fi
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@"
}

if ! command -v mosquitto_pub >/dev/null || ! command -v mosquitto_sub >/dev/null; then
    apt_install mosquitto-clients
fi
if ! command -v openssl >/dev/null; then
    apt_install openssl
fi
if ! PATH=$PATH:/usr/sbin command -v mosquitto >/dev/null || ! command -v mosquitto_passwd >/dev/null; then
    apt_install mosquitto
fi
if ! command -v chromium >/dev/null; then
    apt_install chromium
fi
if ! command -v strace >/dev/null; then
    apt_install strace
fi
if ! command -v valgrind >/dev/null; then
    # Only the count of instructions needs it, and says so when it is not there.
    apt_install valgrind || echo "valgrind could not be installed: instructions are not counted" >&2
fi
if ! command -v mkfs.ext4 >/dev/null; then
    apt_install e2fsprogs
fi
if ! command -v python3 >/dev/null || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install python3 python3-venv
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    apt_install nodejs npm
fi

python_packages() {
    local venv=$1 wanted=$2
    if ! cmp -s "$wanted" "$venv/installed.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
        cp "$wanted" "$venv/installed.txt"
    fi
}

python_packages target/clients-venv tests/clients/requirements.txt
# Apart, as it wants another version of paho-mqtt.
python_packages target/exporter-venv tests/clients/exporter-requirements.txt

modules=tests/clients/node_modules
if ! cmp -s tests/clients/package-lock.json "$modules/installed.json"; then
    npm ci --prefix tests/clients --no-audit --no-fund --loglevel=error
    cp tests/clients/package-lock.json "$modules/installed.json"
fi
