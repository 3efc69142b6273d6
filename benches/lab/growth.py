"""Whether a cost grows with the mailbox: delivery, flag change, expunge and notice in mailboxes of 1,000 to 1,000,000 messages."""
import os
import random
import shutil
import statistics
import time

from .sides import HOSTNAME, Pillarbox, imap
from .tools import Failed, load, say

SIZES = [1_000, 10_000, 100_000, 1_000_000]
# A row that grows more than this is a defect.
BOUND = 1.5
# Rows that begin so are no work of ours.
ALONE = "the file system alone"
# The sizes are measured in turn, so that what else the machine does falls on all of them.
ROUNDS = 5
# Operations in a round: flag changes leave the mailbox as large as it is, but expunges do not.
CHANGES = 5000
REMOVALS = 500


def measure(folder, quick):
    """For each work: microseconds (median of one operation) by mailbox size."""
    if not Pillarbox.there():
        return {}
    sizes = SIZES[:2] if quick else SIZES
    folder.mkdir(parents=True, exist_ok=True)
    # On one core latency is work: which of two cores sleeps deeper when it is woken, and that alone, would double some of the figures.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    side = Pillarbox(folder / "o", [f"g{size}" for size in sizes])
    found = {}
    try:
        side.start()
        for size in sizes:
            say(f"  growth: {size}")
            load("fill", "--maildir", side.maildir(f"g{size}"), "--messages", size, "--size", 1024)
            imap(side, f"g{size}", "--work", "open", "--count", 1, "--patience", 600)
        for size in sizes * (1 if quick else ROUNDS):
            for work, microseconds in operations(side, f"g{size}", 0.5 if quick else 1):
                found.setdefault(work, {}).setdefault(size, []).append(microseconds)
        side.stop()
        for size in sizes:
            for work, microseconds in alone(side.maildir(f"g{size}") / "cur"):
                found.setdefault(work, {})[size] = [microseconds]
    except Failed as error:
        say(f"  growth: {error}")
    finally:
        os.sched_setaffinity(0, cores)
        side.drop()
        shutil.rmtree(folder, ignore_errors=True)
    return {work: {size: statistics.median(values) for size, values in row.items()} for work, row in found.items()}


def alone(folder):
    """What the file system takes for a change in a folder of that size, without any server: the bound of the rows above."""
    chance = random.Random(1)
    names = os.listdir(folder)
    renamed, removed = [], []
    for _ in range(CHANGES):
        at = chance.randrange(len(names))
        name = names[at].removesuffix("T") if names[at].endswith("T") else f"{names[at]}T"
        begun = time.perf_counter()
        os.rename(folder / names[at], folder / name)
        renamed.append(time.perf_counter() - begun)
        names[at] = name
    for name in chance.sample(names, REMOVALS):
        begun = time.perf_counter()
        os.unlink(folder / name)
        removed.append(time.perf_counter() - begun)
    yield f"{ALONE}: rename there", statistics.median(renamed) * 1e6
    yield f"{ALONE}: remove there", statistics.median(removed) * 1e6


def operations(side, user, seconds):
    side.settle()
    smtp = load("smtp", "--to", side.port("smtp"), "--messages", 1000 if seconds >= 1 else 100, "--per-connection", 0, "--rcpt",
                f"{user}@{HOSTNAME}", "--until-in", side.maildir(user))
    yield "delivery, accept to file", smtp["seconds"] / smtp["done"] * 1e6
    side.settle()
    for name, work, count in (("flag change", "store", CHANGES), ("expunge", "expunge", REMOVALS), ("append", "append", REMOVALS)):
        report = imap(side, user, "--work", work, "--seconds", seconds, "--count", count)
        yield name, report["latency_us"][work]["p50"]
    report = imap(side, user, "--work", "idle-latency", "--smtp", side.port("smtp"), "--rcpt", f"{user}@{HOSTNAME}", "--count", 200)
    yield "notice in IDLE", report["latency_us"]["idle-latency"]["p50"]
