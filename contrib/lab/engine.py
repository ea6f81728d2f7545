"""A Docker engine: find one, or, as root, install Debian's and start it.

An engine that is started here keeps running afterwards: images stay in it, and the next run needs them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # the client library carries no type information

from contrib.lab.errors import EngineError
from contrib.lab.progress import Say, step
from contrib.lab.waiting import wait_until

START_SECONDS = 60.0
APT_SECONDS = 600.0
APT_LOCK_SECONDS = 120
"""How long apt waits for another apt of this machine, such as its unattended upgrades."""
LOG_TAIL_LINES = 25
DAEMON_PID_FILE = Path("/var/run/docker.pid")

_installing = threading.Lock()


def engine_client() -> Any:
    """Connect to the engine that answers (DOCKER_HOST, or the local socket).

    :raises EngineError: no engine answers
    """
    try:
        client = docker.from_env()
    except docker.errors.DockerException as error:
        raise EngineError(f"no Docker engine answers: {error}") from error
    return client


def ensure_engine(cache: Path, say: Say) -> None:
    """Return as soon as a Docker engine answers; install and start one when root and there is none.

    :param cache: folder for the daemon's log and its pid file
    :param say: where progress goes
    :raises EngineError: there is no engine and it cannot be started; the message says what to do
    """
    problem = _problem()
    if problem is None:
        return
    if os.geteuid() != 0:
        raise EngineError(
            f"No Docker engine can be used ({problem}): install Debian's packages docker.io and debootstrap, start "
            "the service and put yourself into the group docker, or run this once as root."
        )
    if "DOCKER_HOST" in os.environ:
        raise EngineError(
            f"DOCKER_HOST={os.environ['DOCKER_HOST']} does not answer ({problem}): start that engine, or unset it."
        )
    ensure_programs({"dockerd": "docker.io", "iptables": "iptables"}, cache, say)
    with step(say, "starting dockerd"):
        _start_daemon(cache)


def ensure_programs(packages: dict[str, str], cache: Path, say: Say) -> None:
    """Install the Debian packages whose programs are missing.

    :param packages: program name -> the package that has it
    :param cache: folder for apt's log
    :raises EngineError: not root, or apt failed
    """
    # One at a time: images are made side by side, and apt has one lock.
    with _installing:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
        missing = {package for program, package in packages.items() if not shutil.which(program, path=path)}
        if missing:
            install_packages(sorted(missing), cache, say)


def install_packages(missing: list[str], cache: Path, say: Say) -> None:
    """Install Debian packages.

    :param missing: their names
    :param cache: folder for apt's log
    :raises EngineError: not root, or apt failed
    """
    if os.geteuid() != 0:
        raise EngineError(f"missing: {', '.join(missing)}; install them (apt-get install {' '.join(missing)})")
    if not shutil.which("apt-get"):
        raise EngineError(f"missing: {', '.join(missing)}; there is no apt-get here, install them by other means")
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / "apt.log"
    with step(say, f"installing {', '.join(missing)}"):
        # A list that is a little too old is still a list: the mirror may lag behind its own validity date.
        apt = ["apt-get", "-o", "Acquire::Check-Valid-Until=false", "-o", "Acquire::Retries=3"]
        apt += ["-o", f"DPkg::Lock::Timeout={APT_LOCK_SECONDS}"]
        _run_logged([*apt, "update"], log)
        _run_logged([*apt, "install", "-y", "--no-install-recommends", *missing], log)


def unpacked(package: str, cache: Path) -> Path:
    """Return a folder with the files of a Debian package that is not installed: no service of it runs.

    :param package: its name
    :param cache: folder for what is unpacked; found again there
    :raises EngineError: apt failed
    """
    folder = cache / "packages" / package
    with _installing:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as working:
                _fetch(package, Path(working), cache / "apt.log")
                (archive,) = Path(working).glob("*.deb")
                _run_logged(["dpkg", "-x", str(archive), f"{working}/files"], cache / "apt.log")
                # Several processes of one test run may come here; the first one's is as good as any.
                with contextlib.suppress(OSError):
                    Path(working, "files").rename(folder)
    return folder


def _fetch(package: str, folder: Path, log: Path) -> None:
    """Download a package. The lists of apt may be too old, and root can renew them."""
    command = ["sh", "-c", 'cd "$1" && apt-get -o APT::Sandbox::User=root download "$2"', "sh", str(folder), package]
    try:
        _run_logged(command, log)
    except EngineError:
        if os.geteuid() != 0:
            raise
        _run_logged(["apt-get", "-o", "Acquire::Check-Valid-Until=false", "update"], log)
        _run_logged(command, log)


def tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """Return the last lines of a log file, or an empty text when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _problem() -> str | None:
    """Return why no engine can be used, or None when one answers."""
    try:
        client = docker.from_env(timeout=10)
        try:
            client.ping()
        finally:
            client.close()
    except (docker.errors.DockerException, OSError) as error:
        return str(error).splitlines()[0][:200]
    return None


def _run_logged(command: list[str], log: Path) -> None:
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                timeout=APT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{' '.join(command)} took more than {APT_SECONDS:g} s, see {log}") from error
    if done.returncode != 0:
        raise EngineError(f"{' '.join(command)} failed, see {log}; its end:\n{tail(log)}")


def _start_daemon(cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    log = cache / "dockerd.log"
    _forget_dead_daemon()
    with log.open("wb") as output:
        daemon = subprocess.Popen(
            ["dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            start_new_session=True,  # it outlives this program and its Ctrl-C
        )
    (cache / "dockerd.pid").write_text(f"{daemon.pid}\n")
    wait_until(
        lambda: _problem() is None or daemon.poll() is not None,
        START_SECONDS,
        "dockerd to answer",
        interval=0.2,
        describe=lambda: f"see {log}; its end:\n{tail(log)}",
    )
    if daemon.poll() is not None:
        raise EngineError(
            f"dockerd ended with status {daemon.returncode}; it needs a kernel with cgroups, iptables and overlayfs "
            f"and a privileged container when it runs inside one. See {log}; its end:\n{tail(log)}"
        )


def _forget_dead_daemon() -> None:
    """Remove the pid file of a daemon that is gone: its number may belong to another program already."""
    try:
        pid = int(DAEMON_PID_FILE.read_text())
    except (FileNotFoundError, ValueError):
        return
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        name = ""
    if name != "dockerd":
        DAEMON_PID_FILE.unlink(missing_ok=True)
