"""What a tree of processes uses: processor time with that of its ended children, and memory as the sum of PSS."""
import os
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")


def _stats():
    """For each process: parent, and own plus waited-for children's ticks."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        found[int(name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    return found


def tree(roots, stats=None):
    """The processes below and with `roots`."""
    stats = stats or _stats()
    children = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    found, left = [], [root for root in roots if root in stats]
    while left:
        pid = left.pop()
        found.append(pid)
        left.extend(children.get(pid, ()))
    return found


def cpu_seconds(roots):
    """Processor time so far. A child that has ended is counted in the parent that waited for it."""
    stats = _stats()
    return sum(stats[pid][1] for pid in tree(roots, stats)) / TICKS


def memory(roots):
    """The sum of PSS in octets: pages that processes share are counted once."""
    total = 0
    for pid in tree(roots):
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                for line in file:
                    if line.startswith(b"Pss:"):
                        total += int(line.split()[1]) * 1024
                        break
        except OSError:
            continue
    return total


def settle(roots, patience=30.0):
    """Waits until the tree does nothing for a third of a second: queues drained, caches written. Returns whether it came to rest."""
    deadline, before = time.monotonic() + patience, cpu_seconds(roots)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        now = cpu_seconds(roots)
        if now - before <= 0.01:
            return True
        before = now
    return False


class Meter:
    """Measures a side while the block runs: processor seconds, and the highest memory seen by a sampler that stays out of the way."""

    def __init__(self, roots):
        self.roots, self.cpu, self.peak = roots, 0.0, 0

    def __enter__(self):
        self._over = threading.Event()
        self._start = cpu_seconds(self.roots)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def _sample(self):
        pause = 0.3
        while not self._over.wait(pause):
            begun = time.monotonic()
            self.peak = max(self.peak, memory(self.roots))
            pause = max(0.5, 40 * (time.monotonic() - begun))

    def __exit__(self, *error):
        self._over.set()
        self._sampler.join()
        self.cpu = cpu_seconds(self.roots) - self._start
        self.peak = max(self.peak, memory(self.roots))
