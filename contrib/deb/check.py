"""Installs the Debian package in clean releases of Debian, runs it there as a site would, and purges it again.

    python -m contrib.deb.check                    in Debian 12 and forky
    python -m contrib.deb.check --release forky    in this one only

Each release gets a container of its own, made by debootstrap where it is missing, and takes Python from its own
archive. What was said there stays in .cache/lab/deb-RELEASE.log.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from contrib.deb.build import OUT, PYTHONS, architecture, build
from contrib.lab.engine import tail
from contrib.lab.errors import ImageError, LabError
from contrib.lab.images import CACHE, ensure_base
from contrib.lab.progress import Progress, Say, step

RELEASES = ("bookworm", "forky")
SECONDS = 1_200
SCRIPT = r"""
set -eu
say() { echo "== $*"; }
package=$(echo /deb/agi-monitor_*.deb)

say installed by apt, with nothing but what Debian has
apt-get -o Acquire::Check-Valid-Until=false -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$package"
agi-monitor --version
test "$(stat -c '%U:%G %a' /etc/agi-monitor)" = 'root:agi-monitor 2750'
test "$(stat -c '%U:%G %a' /var/lib/agi-monitor)" = 'agi-monitor:agi-monitor 750'
test -e /usr/share/bash-completion/completions/agi-monitor
dpkg --verify agi-monitor
test -e /usr/share/doc/agi-monitor/docs/reference/configuration.md

say every command says what it is for
for command in $(agi-monitor --help | sed -n '/^Commands:/,$s/^  \([a-z-]*\) .*/\1/p'); do
    agi-monitor "$command" --help >/dev/null
done

say a server with its own user
agi-monitor init
pin=$(echo 830591 | agi-monitor pin)
sed -i "s#REPLACE-ME  *\# the output of:  agi-monitor pin#'$pin'#" /etc/agi-monitor/agi-monitor.yaml
agi-monitor check-config
runuser -u agi-monitor -- agi-monitor serve >/tmp/server.log 2>&1 &
tries=0
until agi-monitor status >/tmp/status 2>&1; do
    tries=$((tries + 1))
    test $tries -lt 60 || { cat /tmp/server.log /tmp/status; exit 1; }
    sleep 1
done
kill "$(cat /var/lib/agi-monitor/agi-monitor.pid)"
wait
runuser -u agi-monitor -- agi-monitor audit verify

say the setup names what it would do
mkdir -p /etc/asterisk
printf '[2001]\ntype = endpoint\ncontext = phones\n[1001]\ntype = endpoint\n' >/etc/asterisk/pjsip.conf
mv /etc/agi-monitor/agi-monitor.yaml /tmp/
agi-monitor setup --dry-run --phone 2001 | tee /tmp/plan
grep -q 'may hear 1001' /tmp/plan
if grep -q 'man pages' /tmp/plan; then exit 1; fi
mv /tmp/agi-monitor.yaml /etc/agi-monitor/

say removed, the configuration and the records stay
apt-get -qq remove --yes agi-monitor
test -e /etc/agi-monitor/agi-monitor.yaml
test ! -e /usr/bin/agi-monitor
test ! -e /opt/agi-monitor

say purged, the records stay, and with them their user
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$package"
apt-get -qq purge --yes agi-monitor
test ! -e /etc/agi-monitor
test ! -e /etc/logrotate.d/agi-monitor
test -e /var/log/agi-monitor/audit.jsonl
getent passwd agi-monitor >/dev/null

say purged without records, nothing stays
rm -r /var/log/agi-monitor /var/lib/agi-monitor
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$package"
apt-get -qq purge --yes agi-monitor
if getent passwd agi-monitor >/dev/null; then exit 1; fi
for path in /etc/agi-monitor /var/lib/agi-monitor /var/log/agi-monitor /opt/agi-monitor; do
    test ! -e "$path"
done
say all of it held
"""


def check(package: Path, release: str, say: Say) -> None:
    """Install, run and purge it in one release.

    :raises LabError: something did not hold; the text has the end of what was said
    """
    image = ensure_base(release, say)
    log = CACHE / f"deb-{release}.log"
    volume = f"{package.parent}:/deb:ro"
    command = ["docker", "run", "--rm", "--init", "--volume", volume, image, "sh", "-c", SCRIPT]
    with step(say, f"the package in Debian {release}", lambda: tail(log, 1)), log.open("wb") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ImageError(f"Debian {release}: not done after {SECONDS} s, see {log}") from error
    if done.returncode != 0:
        raise ImageError(f"Debian {release}: ended with {done.returncode}, see {log}; its end:\n{tail(log, 20)}")


def main() -> int:
    """Build it, check it in each release, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m contrib.deb.check", description=__doc__.partition("\n")[0])
    parser.add_argument("--release", action="append", choices=RELEASES, help="only this one; repeatable")
    parser.add_argument("--package", type=Path, help="a package that was built already")
    options = parser.parse_args()
    say = Progress()
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        package = options.package
        if package is None:
            with step(say, "building the package"):
                package = build(OUT, PYTHONS, architecture())
        for release in options.release or RELEASES:
            check(package.resolve(), release, say)
            say(f"Debian {release}: installed, ran and was purged")
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
