#!/bin/sh
# Makes .venv with everything that the demo and the tests import. Installs Debian's python3-venv when it is
# missing and this is root; anybody else is told what to install.
set -eu
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "agi-monitor: $*"; exit 1; }

python=${PYTHON:-python3}
command -v "$python" >/dev/null || fail "python3 is missing; install it with: apt-get install python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; Python 3.11 or newer is needed"

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "Python's venv module is missing; install it with: apt-get install python3-venv"
    fi
    say "installing Debian's python$version-venv ..."
    apt-get -o Acquire::Check-Valid-Until=false -qq update >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "python$version-venv" >&2 ||
        fail "python$version-venv cannot be installed; apt's message is above"
fi

say "making .venv and installing the dependencies (a minute, once) ..."
rm -rf .venv
"$python" -m venv .venv
.venv/bin/python -m pip --quiet --disable-pip-version-check install --editable '.[test,docs]' ||
    fail "the dependencies cannot be installed; pip's message is above. Behind a proxy or mirror, configure pip"
touch .venv/ready
say "done: .venv"
