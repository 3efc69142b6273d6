# Everything a developer or an admin builds with. `make test` is what CI runs.

CARGO ?= cargo
SHARED ?= $(abspath ../shared)

.PHONY: all try test check suite oracles peers stress soak bench bench-instructions crash fuzz install clean

all:
	$(CARGO) build --release -p pillarbox -p mailctl

# A self-contained instance in ./try on high ports, with one account and one message. Ctrl-C ends it.
try: all
	scripts/try target/release

# The whole suite: form, lints, documentation, unit and end-to-end tests, and the acceptance tools where they are.
test: peers check suite oracles

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

suite:
	$(CARGO) build --workspace
	$(CARGO) test --workspace

# Acceptance tools with recorded answers of real peers; skipped where they are not beside the clone.
oracles:
	scripts/oracles $(SHARED) target/debug

# The programs from Debian that the suite talks to.
peers:
	scripts/peers

# Ten random IMAP clients at once for a minute, judged by a model.
stress: all
	scripts/oracles $(SHARED) target/release imap-stress

# Random rule files and messages, PAIRS of them from SEED on, against Debian's procmail.
PAIRS ?= 10000
SEED ?= 1000000
soak: peers
	FILTER_PAIRS=$(PAIRS) FILTER_SEED=$(SEED) $(CARGO) test -p filter --test differential -- --nocapture

# All three at once: built one by one, what they share would be built again for other features.
BENCHED = $(CARGO) build --release -p pillarbox -p mailctl -p load

bench:
	$(BENCHED)
	benches/run

# Fails when a hot path costs over 10 percent more instructions than benches/instructions.json says.
bench-instructions:
	$(CARGO) build --release -p bench
	benches/instructions

bench-%:
	$(BENCHED)
	benches/run $*

# SIGKILL at random moments under load, see tests/e2e/crash.rs; then ten thousand power cuts of a simulated disk.
crash:
	$(CARGO) build --release --workspace
	PILLARBOX_CRASH_ROUNDS=200 PILLARBOX_CRASH_MESSAGES=20000 $(CARGO) test --release -p tests --test e2e crash -- --nocapture
	MAILBOX_CRASHES=10000 $(CARGO) test --release -p mailbox crash -- --nocapture

# Every parser of strangers' bytes, SECONDS each.
SECONDS ?= 600
fuzz:
	fuzz/run $(SECONDS)

PREFIX ?= /usr/local
install: all
	install -D -m 755 target/release/pillarbox $(DESTDIR)$(PREFIX)/sbin/pillarbox
	install -D -m 755 target/release/mailctl $(DESTDIR)$(PREFIX)/bin/mailctl
	install -D -m 644 deploy/pillarbox.service $(DESTDIR)/etc/systemd/system/pillarbox.service
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 docs/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8

clean:
	$(CARGO) clean
