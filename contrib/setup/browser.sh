#!/bin/sh
# Installs Debian's chromium when it is missing and this is root; anybody else is told what to install. The pages of the
# site are opened in it by a test.
set -eu

say() { printf '%s\n' "$*" >&2; }
fail() { say "agi-monitor: $*"; exit 1; }

command -v chromium >/dev/null && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    fail "a browser is missing; install it with: apt-get install chromium"
fi
say "installing Debian's chromium (a minute, once) ..."
apt-get -o Acquire::Check-Valid-Until=false -qq update >&2
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends chromium >&2 ||
    fail "chromium cannot be installed; apt's message is above"
