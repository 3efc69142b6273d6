"""The rows of the table: what is run, in which scene, against which goal, and how durable each side is."""
import itertools
import os
import pathlib
import subprocess
import time

from . import scenes
from .processes import memory, settle
from .sides import HOSTNAME, PASSWORD, imap
from .tools import PROGRAMS, Failed, load, run

ACCEPTED = "peer: fsync of each queue file before 250; Pillarbox: one fdatasync of the journal for all that wait. Both throw the message away " \
    "afterwards: the peer's discard transport, a rule of the account with /dev/null"
STORED_TOO = "as above before 250; then the peer throws it away, and Pillarbox delivers it to a Maildir meanwhile"
FILES = "peer: fsync of the queue file, {0}; Pillarbox: the journal before 250, files synced in batches before the journal lets go of them"
STORED = "peer, as shipped (mail_fsync = optimized): fsync of a new file (COPY and MOVE link it) and two fdatasync of UID list and folder; " \
    "Pillarbox: one fdatasync of the journal before OK, for all that wait"
FLAGS = "peer, as shipped: renames without a sync; Pillarbox: the same"
NONE = "nothing is written"


ASIDE = itertools.count()


def clear(maildir):
    """Takes the messages out of a Maildir, as another Maildir program may. They are moved aside and removed at the end of the scene: for
    minutes after a removal ext4 looks at each freed inode again whenever a file is made near it, which no mail server is to blame for."""
    for leaf in ("new", "cur"):
        aside = maildir.parent / f"aside-{next(ASIDE)}"
        aside.mkdir()
        for name in os.listdir(maildir / leaf):
            (maildir / leaf / name).rename(aside / name)


class Row:
    """One row. `run` returns its value and the load generator's report."""

    unit = "/s"
    lower = False
    once = False
    durability = NONE

    def __init__(self, key, title, scene, goal=None):
        self.key, self.title, self.scene, self.goal = key, title, scene, goal

    def before(self, side):
        """Makes ready; not measured."""


class Accept(Row):
    durability = ACCEPTED
    account = "box0"

    def __init__(self, size, name, sessions, kept, goal=None):
        how = "connection kept" if kept else "one connection per message"
        key = f"accept-{name.replace(' ', '').lower()}-{sessions}{'-kept' if kept else ''}"
        super().__init__(key, f"accept {name}, {sessions} session{'s' if sessions > 1 else ''}, {how}", scenes.Accept, goal)
        self.size, self.sessions, self.kept = size, sessions, kept

    def run(self, side, seconds):
        # Of long messages each session sends two, or else a run on a slow disk would not end.
        most = 10_000_000 if self.size < 1 << 20 else max(10, self.sessions * (2 if self.sessions < 100 else 1))
        report = load("smtp", "--to", side.port("smtp"), "--sessions", self.sessions, "--messages", most, "--seconds", 2 * seconds if most < 1000 else seconds,
                      "--size", self.size, "--per-connection", 0 if self.kept else 1, "--rcpt", f"{self.account}@{HOSTNAME}")
        return report["per_second"], report


class AcceptAndDeliver(Accept):
    """Pillarbox does more than the peer here: what it accepts is delivered while it accepts more."""

    durability = STORED_TOO
    account = "box1"

    def __init__(self):
        super().__init__(4096, "4 KiB", 20, True)
        self.key, self.title = "accept-delivering", "accept 4 KiB, 20 sessions, connection kept; Pillarbox delivers to a Maildir meanwhile"

    def before(self, side):
        if side.name == "Pillarbox":
            clear(side.maildir(self.account))


class Deliver(Row):
    """Until the last file is there. The number of messages follows the speed of the run before, so that all runs take about as long."""

    def __init__(self, key, title, scene, synced, goal=None, rules=None):
        super().__init__(key, title, scene, goal)
        self.durability, self.rules, self.speed = FILES.format(synced), rules, {}

    def before(self, side):
        # Old mail goes, so that both sides begin each run alike; a new file name is never an old one.
        for box in scenes.BOXES:
            clear(side.maildir(box))
            if self.rules:
                side.write(box, ".procmailrc", self.rules)

    def run(self, side, seconds):
        messages = int(min(200_000, max(100, self.speed.get(side.name, 150) * seconds)))
        to = [part for alias in scenes.ALIASES for part in ("--rcpt", alias)]
        until = [part for box in scenes.BOXES for part in ("--until-in", side.maildir(box))]
        report = load("smtp", "--to", side.port("smtp"), "--sessions", 20, "--per-connection", 0, "--messages", messages, *to, *until)
        self.speed[side.name] = report["per_second"]
        return report["per_second"], report


def recipes(count):
    """A rule file of recipes none of which a message of the generator meets, so that each is tried."""
    return "".join(f":0\n* ^Subject:.*no-such-word-{number}\\>\n.list-{number}/\n" for number in range(count))


class Recipes(Row):
    """A program for each message, as a mail server without its own engine runs it."""

    def __init__(self, count):
        super().__init__(f"recipes-{count}", f"a rule file of {count} recipes, one process per message", scenes.Procmail)
        self.count = count
        self.durability = "peer: fsync of each file; Pillarbox: the same, since no journal stands behind the program"

    def before(self, side):
        folder = side.folder / "recipes"
        if folder.exists():
            return
        (folder / "Maildir" / "new").mkdir(parents=True)
        load("fill", "--maildir", folder / "in", "--messages", 1000)
        (folder / "rc").write_text(f"MAILDIR={folder}/Maildir\nDEFAULT=$MAILDIR/\n" + recipes(self.count))
        (folder / "rc").chmod(0o644)

    def run(self, side, seconds):
        folder = side.folder / "recipes"
        program = "procmail" if side.name != "Pillarbox" else f"{PROGRAMS}/mailctl procmail"
        messages = 1000 if seconds > 2 else 200
        script = f'for file in $(ls -f {folder}/in/cur | tail -n {messages}); do {program} -m {folder}/rc <"{folder}/in/cur/$file" || exit 1; done'
        start = time.monotonic()
        # The shell is no child of the side's servers; its own processor time stands in for theirs.
        run("sh", "-c", script)
        return messages / (time.monotonic() - start), {"done": messages}


class Imap(Row):
    """Some kind of work of some clients on one of the filled accounts."""

    def __init__(self, key, title, user, work, clients=1, durability=NONE, goal=None, extra=()):
        super().__init__(f"{key}-{clients}", f"{title}, {clients} client{'s' if clients > 1 else ''}", scenes.Imap, goal)
        self.user, self.work, self.clients, self.durability, self.extra = user, work, clients, durability, extra

    def run(self, side, seconds):
        report = imap(side, self.user, "--work", self.work, "--clients", self.clients, "--seconds", seconds, *self.extra)
        return report["commands_per_second" if self.work == "mixed" else "per_second"], report


class Bytes(Imap):
    unit = "MB/s"

    def run(self, side, seconds):
        _, report = super().run(side, seconds)
        return report["bytes_per_second"] / 1e6, report


class Open(Imap):
    """SELECT and all flags: the time of one operation matters."""

    unit = "ms"
    lower = True

    def run(self, side, seconds):
        _, report = super().run(side, seconds)
        return report["latency_us"]["open"]["p50"] / 1000, report


class Cold(Open):
    """The same after the server was started again and nothing is in memory."""

    def before(self, side):
        side.restart()
        run("sync")
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")

    def run(self, side, seconds):
        report = imap(side, self.user, "--work", "login", "--count", 1, "--seconds", 30)
        begun = time.monotonic()
        report = imap(side, self.user, "--work", self.work, "--count", 1, "--seconds", 60)
        return (time.monotonic() - begun) * 1000, report


class Mixed(Imap):
    """The work of a day. Both servers start anew for it, so that its memory is its own and not that of the rows before."""

    def before(self, side):
        if side.name not in self.begun:
            self.begun.add(side.name)
            side.restart()

    def __init__(self, clients, goal=None):
        super().__init__("mixed", "mixed work of a day (commands)", "day", "mixed", clients, STORED, goal)
        self.begun = set()


class Consuming(Imap):
    """MOVE and EXPUNGE use messages up: each run gets new ones, which any Maildir program might have put there."""

    def before(self, side):
        self.seed = getattr(self, "seed", 100) + 1
        # A mailbox of its own size at the start, or else the faster side would work on a smaller one.
        box = side.maildir(self.user)
        clear(box)
        load("fill", "--maildir", box, "--messages", 1000, "--seed", self.seed)
        side.own(self.user)
        imap(side, self.user, "--work", "select", "--count", 1)


class Notice(Row):
    """From the end of the message to the line in IDLE."""

    unit = "ms"
    lower = True

    def __init__(self):
        super().__init__("notice", "new mail: from SMTP's final dot to IDLE's notice (median)", scenes.Lmtp)
        self.durability = FILES.format("of the delivered file")

    def run(self, side, seconds):
        report = imap(side, "box0", "--work", "idle-latency", "--smtp", side.port("smtp"), "--rcpt", scenes.ALIASES[0],
                      "--seconds", seconds, "--count", 2000)
        return report["latency_us"]["idle-latency"]["p50"] / 1000, report


class IdleDaemon(Row):
    unit = "MiB"
    lower = True
    once = True

    def __init__(self):
        super().__init__("idle-daemon", "the idle server: memory of all its processes", scenes.Idle, "under 20 MB")

    def run(self, side, seconds):
        return memory(side.roots()) / 2**20, {}


class IdleSessions(Row):
    """Memory of each of many sessions in IDLE, above that of the idle server."""

    unit = "KiB"
    lower = True
    once = True

    def __init__(self, sessions, tls, scene=scenes.Idle):
        kind, peer = "TLS" if tls else "plain", ", peer with hibernation" if scene is scenes.Hibernating else ""
        key = f"idle-{kind.lower()}-{sessions}{'-hibernating' if peer else ''}"
        super().__init__(key, f"memory of each of {sessions} idle {kind} sessions{peer}", scene, "under 64 KiB" if tls else None)
        self.sessions, self.tls = sessions, tls

    def before(self, side):
        side.restart()
        imap(side, "idle", "--work", "select", "--count", 1)

    def run(self, side, seconds):
        settle(side.roots())
        before = memory(side.roots())
        command = [PROGRAMS / "load", "--json", "imap", "--to", side.port("imaps" if self.tls else "imap"), "--user", "idle", "--password",
                   PASSWORD, "--work", "idle-memory", "--clients", str(self.sessions), "--seconds", "300"] + ["--tls"] * self.tls
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as held:
            ready = held.stderr.readline().split()
            time.sleep(5 if self.scene is scenes.Hibernating else 0)
            settle(side.roots())
            after = memory(side.roots())
            held.stdin.close()
            held.stdout.read()
        if ready != ["ready", str(self.sessions)]:
            raise Failed(f"only {' '.join(ready)} of {self.sessions} sessions")
        return (after - before) / 1024 / self.sessions, {"done": self.sessions}


class Place:
    """A row that waits for a feature."""

    def __init__(self, key, title, peer):
        self.key, self.title, self.peer = key, title, peer


def accept_rows():
    for size, name in ((4096, "4 KiB"), (65_536, "64 KiB"), (10 << 20, "10 MiB")):
        for sessions in (1, 20, 200):
            # What a connection costs does not show beside 10 MiB.
            for kept in (True, False)[: 1 if size > 1 << 20 else 2]:
                goal = 10 if (size, sessions) == (4096, 20) else None
                yield Accept(size, name, sessions, kept, goal)


def imap_rows():
    yield Imap("login", "log-in and log-out, no hash on either side", "k1", "login", 20)
    yield Imap("select-10k", "SELECT of 10,000", "k10", "select")
    yield Imap("status-752", "STATUS of 752 folders in turn", "folders", "status", 1)
    yield Imap("status-752", "STATUS of 752 folders in turn", "folders", "status", 20)
    yield Imap("list-752", "LIST of 752 folders", "folders", "list")
    yield Open("open-1k", "open 1,000 messages and list their flags", "k1", "open")
    yield Open("open-10k", "open 10,000 messages and list their flags", "k10", "open")
    yield Open("open-100k", "open 100,000 messages and list their flags", "k100", "open", goal=5)
    yield Cold("open-100k-cold", "open 100,000 messages and list their flags, cold", "k100", "open")
    for clients in (1, 20, 200):
        yield Imap("fetch-flags-10k", "FETCH flags of 10,000", "k10", "fetch-flags", clients)
    for clients in (1, 20):
        yield Imap("fetch-envelope-1k", "FETCH envelopes of 1,000", "k1", "fetch-envelope", clients)
        yield Imap("fetch-bodystructure-1k", "FETCH bodystructures of 1,000", "k1", "fetch-bodystructure", clients)
        yield Imap("fetch-headers-1k", "FETCH 4 header fields of 1,000", "k1", "fetch-headers", clients)
        yield Bytes("fetch-body", "FETCH whole bodies, 2 KiB to 4 MiB", "bodies", "fetch-body", clients)
        yield Imap("search-header-1k", "SEARCH SUBJECT in 1,000", "k1", "search-header", clients)
        yield Imap("search-text-1k", "SEARCH TEXT in 1,000", "k1", "search-text", clients)
    yield Imap("fetch-envelope-10k", "FETCH envelopes of 10,000", "k10", "fetch-envelope")
    for clients in (1, 20, 200):
        yield Imap("store", "STORE of a flag of one message", "work", "store", clients, FLAGS)
        yield Imap("append", "APPEND of 4 KiB", "work", "append", clients, STORED, 5)
    for clients in (1, 20):
        yield Imap("copy", "COPY of one message", "work", "copy", clients, STORED)
        yield Consuming("move", "MOVE of one message", "move", "move", clients, STORED)
        yield Consuming("expunge", "delete and EXPUNGE one message", "move", "expunge", clients, FLAGS)
    yield Mixed(20, 5)
    yield Mixed(200)


ROWS = [
    *accept_rows(),
    AcceptAndDeliver(),
    Deliver("deliver-procmail", "alias, .procmailrc, Maildir, until the last file", scenes.Procmail, "of the delivered file by procmail", 20),
    Deliver("deliver-lmtp", "alias, Maildir, until the last file", scenes.Lmtp, "of the delivered file by Dovecot"),
    *(Deliver(f"deliver-recipes-{count}", f"alias, .procmailrc of {count} recipes, Maildir, until the last file", scenes.Procmail,
              "of the delivered file by procmail", rules=recipes(count)) for count in (100, 2000)),
    Recipes(100),
    Recipes(2000),
    *imap_rows(),
    Notice(),
    IdleDaemon(),
    IdleSessions(1000, False),
    IdleSessions(1000, True),
    IdleSessions(5000, True),
    IdleSessions(1000, False, scenes.Hibernating),
    IdleSessions(5000, False, scenes.Hibernating),
]

PLACES = [
    Place("deliver-spam", "alias, spam scoring, .procmailrc, Maildir", "Postfix + procmail + spamc/spamd; Postfix + rspamd"),
    Place("sort", "SORT", "Dovecot"),
    Place("thread", "THREAD", "Dovecot"),
    Place("import", "import of 752 mbox folders, 1.8 GB", "doveadm import"),
    Place("outbound", "outbound, 1,000 destinations", "Postfix with smtp-sink"),
]
