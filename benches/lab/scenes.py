"""Groups of rows that share running servers and filled mailboxes."""
import contextlib
import subprocess

from .sides import HOSTNAME, Dovecot, Pillarbox, Postfix, PostfixDovecot
from .tools import load, say

BOXES = ["box0", "box1", "box2"]
# The user's shape of a map: an alias domain, aliases that lead on to others, and three accounts behind.
VIRTUAL = "darkmere.test 20140720\n" + "".join(
    f"{box}@darkmere.test mid-{box}@darkmere.test\nmid-{box}@darkmere.test {box}@{HOSTNAME}\n" for box in BOXES)
ALIASES = [f"{box}@darkmere.test" for box in BOXES]
# The user's .procmailrc without its external program.
RULES = """:0
* > 280000
.large/

:0:
* ^X-Spam-Status: Yes, score=([5-9]|1[0-9]|[2-9][0-9])
.junk/
"""
# Mailboxes of the IMAP rows: account, messages, arguments of `load fill`.
CONTENTS = {
    "k1": ["--messages", 1000], "k10": ["--messages", 10_000], "k100": ["--messages", 100_000, "--size", 2048],
    "folders": ["--folders", 752, "--messages", 4], "bodies": ["--messages", 1000, "--spread", "--size", 4096],
    "work": ["--messages", 2000], "move": ["--messages", 0], "day": ["--messages", 2000],
}


def spread(folder):
    """Has ext4 put the folders below into groups of blocks of their own, as it does with /var and /home. All in one group, each side would look
    through what the other has just removed there whenever it makes a file. Other file systems know no such thing."""
    subprocess.run(["chattr", "+T", str(folder)], stderr=subprocess.DEVNULL)


class Scene:
    """Servers that run while a group of rows is measured. `ours` is None as long as Pillarbox is not built."""

    settings = ""

    def __init__(self, folder, quick):
        self.folder, self.quick = folder, quick
        self.peer = self.ours = None

    def sides(self):
        return [side for side in (self.peer, self.ours) if side]

    def __enter__(self):
        self.folder.mkdir(parents=True)
        spread(self.folder)
        self.peer, self.ours = self.make()
        if not Pillarbox.there():
            self.ours = None
        with contextlib.ExitStack() as started:
            for side in self.sides():
                side.folder.mkdir()
                spread(side.folder)
                side.start()
                started.callback(side.stop)
                self.fill(side)
            started.pop_all()
        return self

    def __exit__(self, *error):
        # The files stay until all scenes are over, see `rows.clear`.
        for side in self.sides():
            side.stop()

    def fill(self, side):
        """Puts contents in place after the start."""


class Accept(Scene):
    """Both discard what they accepted: Postfix by its transport, Pillarbox by a rule of box0. What is for box1 it delivers."""

    def make(self):
        return Postfix(self.folder / "p"), Pillarbox(self.folder / "o", ["box0", "box1"])

    def fill(self, side):
        if side is self.ours:
            side.write("box0", ".procmailrc", ":0\n/dev/null\n")
            side.empty("box1")


class Procmail(Scene):
    def make(self):
        return Postfix(self.folder / "p", "procmail", BOXES, VIRTUAL), Pillarbox(self.folder / "o", BOXES, VIRTUAL)

    def fill(self, side):
        for box in BOXES:
            side.empty(box)
            side.write(box, ".procmailrc", RULES)


class Lmtp(Scene):
    def make(self):
        return PostfixDovecot(self.folder / "p", BOXES, VIRTUAL), Pillarbox(self.folder / "o", BOXES, VIRTUAL)

    def fill(self, side):
        for box in BOXES:
            side.empty(box)


class Imap(Scene):
    """The same files in both Maildirs, by hard links."""

    def make(self):
        users = list(CONTENTS)
        return Dovecot(self.folder / "p", users, cache="1M"), Pillarbox(self.folder / "o", users)

    def fill(self, side):
        for user, arguments in CONTENTS.items():
            content = self.folder / "c" / user
            if not content.exists():
                say(f"  filling {user}")
                small = [a // 10 if self.quick and isinstance(a, int) and a >= 10_000 else a for a in arguments]
                load("fill", "--maildir", content, *small)
            side.adopt(user, content)


class Idle(Scene):
    """An empty mailbox for many idle sessions."""

    hibernate = 0

    def make(self):
        return Dovecot(self.folder / "p", ["idle"], hibernate=self.hibernate), Pillarbox(self.folder / "o", ["idle"])

    def fill(self, side):
        side.empty("idle")


class Hibernating(Idle):
    """The same, with Dovecot's idle sessions handed to one process after two seconds."""

    hibernate = "2s"
