"""Writes docs/performance.md from the results of a run, and keeps the results so that a single row can be run again."""
import datetime
import json

from . import growth, rows
from .compare import Result, Run
from .sides import Pillarbox
from .tools import ROOT

STORE = ROOT / "benches" / "results.json"
NOTES = ROOT / "benches" / "notes.md"
PAGE = ROOT / "docs" / "performance.md"

HEAD = """# Performance

Written by `make bench` (`benches/run`); do not edit. Both sides ran on one machine, with data on the same file system, in turn
(A B A B) after a warm-up of each; memory of idle sessions is taken once after a warm-up, since it does not vary. The load comes from `crates/load`, whose own share of a core is in the last column.

The ratio is Pillarbox's advantage: median of the pairs, and the smallest and largest of them in brackets. Processor time is that of all processes of
a side, in milliseconds for each operation (of the load generator's count); memory is the largest sum of PSS seen. Peer before the stroke, Pillarbox behind it.
"""


def keep(record):
    STORE.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def kept():
    """What earlier runs found, or an empty record."""
    try:
        return json.loads(STORE.read_text())
    except (OSError, ValueError):
        return {"rows": {}, "growth": {}}


def pack(result, pairs):
    """A result as plain data."""
    return {"error": result.error, "pairs": pairs, "date": datetime.date.today().isoformat(),
            "runs": {side: [vars(run) for run in runs] for side, runs in result.runs.items()}}


def unpack(key, data):
    return Result(key, {side: [Run(**run) for run in runs] for side, runs in data["runs"].items()}, data["error"])


def number(value):
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(row, result):
    ratios = sorted(result.ratios(row.lower))
    if not ratios:
        return "–"
    middle = ratios[len(ratios) // 2] if len(ratios) % 2 else (ratios[len(ratios) // 2 - 1] + ratios[len(ratios) // 2]) / 2
    text = f"**{middle:.3g}** ({ratios[0]:.3g}–{ratios[-1]:.3g})"
    if isinstance(row.goal, (int, float)):
        text += f", goal {row.goal}: {'met' if middle >= row.goal else 'missed'}"
    return text


def cost(result, side):
    cpu, work = result.median(side, "cpu"), result.median(side, "work")
    return number(cpu / work * 1000) if cpu is not None and work else "–"


def line(row, result):
    memory = [result.median(side, "memory") for side in ("peer", "ours")]
    shares = [run.own_share for runs in result.runs.values() for run in runs]
    goal = f"; goal: {row.goal}" if isinstance(row.goal, str) else ""
    cells = [
        row.title + goal, f"{number(result.median('peer'))} {row.unit}", f"{number(result.median('ours'))} {row.unit}", ratio(row, result),
        f"{cost(result, 'peer')} / {cost(result, 'ours')}", " / ".join(number(m / 2**20 if m else None) for m in memory),
        f"{max(shares, default=0):.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def table(group, record):
    """The rows of a scene, with their durability below."""
    lines = ["| work | peer | Pillarbox | ratio | CPU ms per operation | peak memory, MiB | generator |", "|---|---|---|---|---|---|---|"]
    notes = {}
    for row in group:
        if row.key not in record["rows"]:
            lines.append(f"| {row.title} | not run | | | | | |")
            continue
        result = unpack(row.key, record["rows"][row.key])
        lines.append(line(row, result))
        notes.setdefault(row.durability, []).append(row.title)
        if result.error:
            notes.setdefault(f"failed: {result.error}", []).append(row.title)
    lines.append("")
    for note, titles in sorted(notes.items(), key=lambda item: item[0] == rows.NONE):
        some = "; ".join(titles) if note != rows.NONE else "The others"
        which = "All rows" if len(titles) == len(group) else some
        lines.append(f"- {which}: {note}.")
    return lines


def page(record, path=PAGE):
    facts, limits = record.get("machine", {}), record.get("limits", {})
    out = [HEAD, "## Machine", ""]
    for name, value in facts.items():
        out.append(f"- {name}: {', '.join(value) if isinstance(value, list) else value}")
    out += [f"- pairs of each row: {record.get('pairs', '–')}, {record.get('seconds', '–')} s each; run of {record.get('date', '–')}", ""]
    out += ["Dovecot is Debian 12's 2.3; 2.4 is not packaged there.", "", "## Physical limits of the same run", "", "| what | found |", "|---|---|"]
    out += [f"| {name.replace('_', ' ')} | {value:,.6g} |" for name, value in limits.items()]
    out += ["", "## Side by side", ""]
    for scene, title in SCENES:
        group = [row for row in rows.ROWS if row.scene.__name__ == scene]
        out += [f"### {title}", "", *table(group, record), ""]
    out += [*bandwidth(record), *tenth(record)]
    out += ["### Places", "", "These rows wait for the feature that they measure.", "", "| work | peer |", "|---|---|"]
    out += [f"| {place.title} | {place.peer} |" for place in rows.PLACES]
    out += ["", *grown(record.get("growth", {})), *settings()]
    if NOTES.exists():
        out += ["", NOTES.read_text().rstrip()]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(out).rstrip() + "\n")


SCENES = [
    ("Accept", "Accept durably; peer: Postfix"),
    ("Procmail", "To the Maildir through .procmailrc; peer: Postfix + procmail"),
    ("Lmtp", "To the Maildir and to the client; peer: Postfix + Dovecot LMTP"),
    ("Imap", "IMAP; peer: Dovecot on the same files"),
    ("Idle", "Memory; peer: Dovecot"),
    ("Hibernating", "Memory; peer: Dovecot with hibernation after 2 s"),
]


def bandwidth(record):
    """How near whole bodies come to what memory and loopback can do."""
    limits, out = record.get("limits", {}), []
    for row in rows.ROWS:
        if isinstance(row, rows.Bytes) and row.key in record["rows"]:
            found = [unpack(row.key, record["rows"][row.key]).median(side) for side in ("peer", "ours")]
            if all(found) and limits:
                cache, loopback = limits["page_cache_bytes_per_second"] / 1e6, limits["loopback_bytes_per_second"] / 1e6
                out.append(f"- {row.title}: {found[1]:,.0f} MB/s is {found[1] / cache:.0%} of the page cache's copy bandwidth (goal: 50%) and "
                           f"{found[1] / loopback:.0%} of what a loopback connection carries at all; the peer {found[0] / cache:.0%} and {found[0] / loopback:.0%}.")
    return ["### Bandwidth", "", *out, ""] if out else []


def tenth(record):
    """The memory of 200 clients that work beside the peer's."""
    if "mixed-200" not in record["rows"]:
        return []
    result = unpack("mixed-200", record["rows"]["mixed-200"])
    peer, ours = (result.median(side, "memory") for side in ("peer", "ours"))
    if not peer or not ours:
        return []
    return ["### Memory of 200 clients", "", f"- Mixed work: {ours / 2**20:.0f} MiB beside {peer / 2**20:.0f} MiB, {ours / peer:.0%} (goal: 10%).", ""]


def grown(found):
    """The table of costs by mailbox size."""
    if not found:
        return []
    sizes = [str(size) for size in growth.SIZES if any(str(size) in row for row in found.values())]
    out = ["## Cost by mailbox size", "", f"Microseconds of one operation (median of {growth.ROUNDS} rounds over all sizes), Pillarbox alone, on one core with the load generator. More than {growth.BOUND} times the first is a defect.", ""]
    out += ["| work | " + " | ".join(f"{int(size):,}" for size in sizes) + " | growth |", "|---|" + "---|" * (len(sizes) + 1)]
    for work, row in found.items():
        values = [row.get(size) for size in sizes]
        known = [value for value in values if value]
        growing = known[-1] / known[0] if known else 0
        defect = growing > growth.BOUND and not work.startswith(growth.ALONE)
        out.append(f"| {work} | " + " | ".join(map(number, values)) + f" | {growing:.2f}{' **defect**' if defect else ''} |")
    return [*out, ""]


def settings():
    """What differs from the programs as shipped."""
    return [
        "## Settings", "",
        "- Postfix as Debian ships it, but: default_process_limit 250, larger message_size_limit, no limit on connections of one client, no DNS.",
        "- Dovecot as Debian ships it, but: login processes that serve many clients, room for 20,000 sessions. Passwords are stored in plain text",
        "  in every row: its cache of log-ins checks the hash each time, while Pillarbox's remembers a right password, so that neither side hashes.",
        "- fs.inotify.max_user_instances is raised to 65536, as Dovecot's manual asks: without it none of its sessions hibernates.",
        "- Both sides' files lie in groups of blocks of their own (`chattr +T`), as those of /var and /home would, and nothing is removed between",
        "  runs: for minutes after a removal ext4 looks at each freed inode again whenever a file is made near it.",
        "- Pillarbox's journal may grow to 4 GiB in place of 1, since 200 messages of 10 MiB at once are more; Postfix has no such limit.",
        "- procmail and spamd as Debian ships them. Everything logs to files.",
        "- Pillarbox as `mailctl init` makes it, and:", "", "```toml" + Pillarbox.SETTINGS + "```",
    ]
