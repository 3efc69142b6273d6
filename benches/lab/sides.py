"""Both sides of a comparison: each can start, stop, tell its ports and processes, and put a Maildir in place."""
import os
import pathlib
import random
import shutil
import socket
import subprocess
import time

from .processes import settle
from .tools import PROGRAMS, Failed, load, peer, run

PASSWORD = "pass"
HOSTNAME = "peer.example"


def free_ports(count):
    """Ports that nobody listens on just now, below those that the kernel gives to clients: one of these is soon somebody's."""
    ephemeral = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first, last = 10_000, max(ephemeral, 20_000) - 1
    found = []
    while len(found) < count:
        port = random.randint(first, last)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


class Side:
    """What all sides share."""

    name = ""
    owner = "root"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.ports = {}

    def port(self, service):
        return f"127.0.0.1:{self.ports[service]}"

    def maildir(self, user):
        return self.home(user) / "Maildir"

    def adopt(self, user, content):
        """Makes hard links of a filled Maildir: the same files, in memory or not, for both sides."""
        target = self.maildir(user)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-al", content, target)
        self.own(user)

    def empty(self, user):
        """An empty Maildir that belongs to the account."""
        for leaf in ("new", "cur", "tmp"):
            (self.maildir(user) / leaf).mkdir(parents=True, exist_ok=True)
        self.own(user)

    def write(self, user, name, text):
        self.home(user).mkdir(parents=True, exist_ok=True)
        (self.home(user) / name).write_text(text)
        self.own(user)

    def own(self, user):
        owner = user if self.owner == "each" else self.owner
        run("chown", "-R", f"{owner}:", self.home(user))

    def settle(self):
        settle(self.roots())

    def end(self):
        """How the server ended, if it did."""
        return ""

    def drop(self):
        """Stops and removes everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self):
        self.stop()
        self.start()


class Postfix(Side):
    """Postfix with some way of delivery."""

    name = "Postfix"

    def __init__(self, folder, delivery="discard", users=(), virtual=None):
        super().__init__(folder)
        self.delivery, self.users, self.virtual = delivery, users, virtual
        self.owner = "each" if delivery in ("procmail", "maildir") else "root"
        [self.ports["smtp"]] = free_ports(1)

    def home(self, user):
        return self.folder / "home" / user

    def start(self):
        settings = [f"port={self.ports['smtp']}", f"hostname={HOSTNAME}", f"delivery={self.delivery}", "processes=250"]
        if self.users:
            settings.append("users=" + ",".join(self.users))
        if self.virtual:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "virtual.in").write_text(self.virtual)
            settings.append(f"virtual={self.folder / 'virtual.in'}")
        peer("start", "postfix", self.folder, *settings)

    def stop(self):
        peer("stop", "postfix", self.folder)

    def roots(self):
        return [int(pid) for pid in peer("pid", "postfix", self.folder).split()]

    def settle(self):
        deadline = time.monotonic() + 120
        while int(peer("queued", self.folder)) and time.monotonic() < deadline:
            time.sleep(0.2)
        super().settle()


class Dovecot(Side):
    """Dovecot with the given users."""

    name = "Dovecot"
    owner = "dovemail"

    def __init__(self, folder, users, **settings):
        super().__init__(folder)
        self.users, self.settings = users, settings
        self.ports = dict(zip(("imap", "imaps", "lmtp"), free_ports(3)))

    def home(self, user):
        return self.folder / "home" / user

    def start(self):
        settings = [f"{name}={port}" for name, port in self.ports.items()] + [f"{name}={value}" for name, value in self.settings.items()]
        # Log-ins without a hash: see the row about log-ins in rows.py.
        peer("start", "dovecot", self.folder, "users=" + ",".join(self.users), f"password={PASSWORD}", "scheme=PLAIN", *settings)

    def stop(self):
        peer("stop", "dovecot", self.folder)

    def roots(self):
        return [int(pid) for pid in peer("pid", "dovecot", self.folder).split()]


class PostfixDovecot(Side):
    """Postfix that hands over to Dovecot's LMTP."""

    name = "Postfix + Dovecot LMTP"
    owner = "dovemail"

    def __init__(self, folder, users, virtual):
        super().__init__(folder)
        self.dovecot = Dovecot(self.folder / "d", users)
        self.postfix = Postfix(self.folder / "p", f"lmtp:{self.dovecot.ports['lmtp']}", users, virtual)
        self.ports = {**self.dovecot.ports, **self.postfix.ports}

    def home(self, user):
        return self.dovecot.home(user)

    def start(self):
        self.dovecot.start()
        self.postfix.start()

    def stop(self):
        self.postfix.stop()
        self.dovecot.stop()

    def roots(self):
        return self.postfix.roots() + self.dovecot.roots()

    def settle(self):
        self.postfix.settle()
        super().settle()


class Pillarbox(Side):
    """Pillarbox, made by `mailctl init`. Without the programs every row shows the peer alone."""

    name = "Pillarbox"
    # The limits that protect a small machine from strangers are raised, as they are for the peers; all else is at its default.
    SETTINGS = """
[smtp]
greeting_pause = "0ms"
max_connections = 2000
max_connections_per_client = 2000
max_message_size = "100M"

[journal]
max_size = "4G"

[imap]
max_connections = 20000
max_connections_per_client = 20000
"""

    def __init__(self, folder, users=(), virtual=None):
        super().__init__(folder)
        self.users, self.virtual, self.process = users, virtual, None
        self.ports = dict(zip(("smtp", "imap", "imaps"), free_ports(3)))
        self.config = self.folder / "i" / "pillarbox.toml"

    def own(self, user):
        """Nothing: the daemon runs as root, and linked files stay the peer's, which may then link them itself."""

    @staticmethod
    def there():
        return all((PROGRAMS / name).exists() for name in ("pillarbox", "mailctl")) and not os.environ.get("BENCH_PEERS_ONLY")

    def mailctl(self, *arguments, **options):
        return run(PROGRAMS / "mailctl", "--config", self.config, *arguments, **options)

    def home(self, user):
        return self.folder / "i" / "data" / "homes" / user

    def start(self):
        if not self.config.exists():
            self.make()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([PROGRAMS / "pillarbox", "--config", self.config], stderr=log, stdout=log)
        for service in self.ports:
            self._await(service)

    def make(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        listeners = [part for name in self.ports for part in (f"--{name}", self.port(name))]
        run(PROGRAMS / "mailctl", "init", self.folder / "i", "--hostname", HOSTNAME, *listeners)
        with self.config.open("a") as file:
            file.write(self.SETTINGS)
        if self.virtual:
            (self.folder / "i" / "virtual").write_text(self.virtual)
        for user in self.users:
            self.mailctl("account", "add", user, "--password-stdin", input=PASSWORD + "\n")

    def _await(self, service):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.ports[service]), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"pillarbox does not start: {(self.folder / 'log').read_text()[-600:]}")

    def end(self):
        if not self.process or self.process.poll() is None:
            return ""
        return f"; it ended with {self.process.returncode}: {(self.folder / 'log').read_text()[-300:]}"

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def roots(self):
        return [self.process.pid] if self.process else []


def imap(side, user, *arguments):
    """Runs IMAP work on a side."""
    service = "imaps" if "--tls" in arguments else "imap"
    return load("imap", "--to", side.port(service), "--user", user, "--password", PASSWORD, *arguments)
