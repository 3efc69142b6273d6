"""What the numbers were measured on."""
import os
import pathlib
import platform
import re

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


def limits(folder, seconds):
    """The physical limits, as the generator measures them."""
    found = load("limits", folder, "--seconds", seconds)
    found.pop("work", None)
    return found


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
