#!/usr/bin/env bash
# Installs the servers that the tests run against, from Debian's or Ubuntu's own packages. Quick when all are there.
# Usage: scripts/install-services.sh [further packages ...]
# No service is started by it: the tests start each server themselves, on a free port of 127.0.0.1.
set -euo pipefail

# Package and the programs in it that the tests call.
services="
prometheus:prometheus,promtool
prometheus-node-exporter:prometheus-node-exporter
prometheus-alertmanager:prometheus-alertmanager
victoria-metrics:victoria-metrics
influxdb:influxd
influxdb-client:influx
postgresql:initdb,postgres
"
say() { echo "install-services: $*"; }
export PATH="$PATH:/usr/sbin:/usr/local/bin"
for folder in /usr/lib/postgresql/*/bin; do PATH="$PATH:$folder"; done

missing_packages() {
    local line program
    for line in $services; do
        for program in $(echo "${line#*:}" | tr , ' '); do
            if ! command -v "$program" >/dev/null; then
                echo "${line%%:*}"
                break
            fi
        done
    done
}

missing=$(missing_packages)
wanted=$(echo $missing "$@")
if [ -z "$wanted" ]; then
    say "all servers are installed already"
    exit 0
fi
say "to be installed: $wanted"

if ! command -v apt-get >/dev/null; then
    say "this is neither Debian nor Ubuntu (no apt-get): install these by hand, so that their programs are in PATH"
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        say "neither root nor sudo is to be had: run it as root"
        exit 1
    fi
    as_root=(sudo)
fi

# Packages ask this file before they start a service; 101 forbids it. One that is there already stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@"; }
if ! apt update; then
    say "the lists of packages could not be refreshed; going on with those that are here"
fi

# One name that is not known would fail the whole call.
known=() unknown=()
for package in $wanted; do
    if apt-cache show "$package" >/dev/null 2>&1; then known+=("$package"); else unknown+=("$package"); fi
done
if [ ${#unknown[@]} -gt 0 ]; then
    say "not to be had from this machine's package sources: ${unknown[*]}"
fi
if [ ${#known[@]} -gt 0 ]; then
    apt install -y --no-install-recommends "${known[@]}"
fi

hash -r
for folder in /usr/lib/postgresql/*/bin; do PATH="$PATH:$folder"; done
missing=$(missing_packages)
if [ -n "$missing" ] || [ ${#unknown[@]} -gt 0 ]; then
    say "still missing: $(echo $missing "${unknown[@]}" | tr ' ' '\n' | sort -u | tr '\n' ' ')"
    exit 1
fi
say "installed: ${known[*]}"
