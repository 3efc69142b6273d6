"""What the numbers were measured on."""
import contextlib
import os
import pathlib
import platform
import re
import subprocess
import time

from .sides import free_ports
from .tools import PROGRAMS, ROOT, load, peer, run


def facts(folder):
    """Machine, file system and versions."""
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) // 1024
    return {
        "processor": f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{memory} MiB",
        "kernel": platform.release().split("-")[0],
        "system": _system(),
        "file system": _mount(folder),
        "peers": peer("versions").splitlines(),
        "pillarbox": _version(),
    }


@contextlib.contextmanager
def room_for_watches():
    """As many inotify instances as Dovecot's manual asks for: a process that gets none does not hibernate."""
    setting = pathlib.Path("/proc/sys/fs/inotify/max_user_instances")
    before = setting.read_text()
    setting.write_text("65536")
    try:
        yield
    finally:
        setting.write_text(before)


def limits(folder, seconds):
    """The physical limits, as the generator measures them."""
    found = load("limits", folder, "--seconds", seconds)
    found.pop("work", None)
    return {**found, **_null_sink(seconds)}


def _null_sink(seconds):
    """How fast the generator is by itself: against a server that does nothing, on the same processors."""
    [port] = free_ports(1)
    sink = subprocess.Popen([PROGRAMS / "load", "smtp-sink", "--listen", f"127.0.0.1:{port}", "--seconds", str(int(seconds) + 10)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        report = load("smtp", "--to", f"127.0.0.1:{port}", "--sessions", 20, "--messages", 10_000_000, "--seconds", seconds, "--per-connection", 0,
                      "--rcpt", "a@sink.example")
    finally:
        sink.kill()
        sink.wait()
    return {"generator_messages_per_second_against_a_null_sink": report["per_second"], "generator_share_of_a_core_there": report["own_cpu_share"]}


def _system():
    found = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())
    return found[1] if found else "unknown"


def _mount(folder):
    best = ("", "unknown")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, point, kind, options = line.split()[:4]
        if (str(folder) + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
            best = (point, f"{kind} ({options})")
    return best[1]


def _version():
    commit = run("git", "-C", ROOT, "rev-parse", "--short=10", "HEAD", check=False).strip()
    program = PROGRAMS / "pillarbox"
    version = run(program, "--version", check=False).strip() if program.exists() else "not built"
    return f"{version} ({commit})"
