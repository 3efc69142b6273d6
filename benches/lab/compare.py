"""Runs one row on both sides in turn: a warm-up of each, then pairs A B A B."""
import dataclasses
import statistics

from .processes import Meter
from .tools import Failed, say


@dataclasses.dataclass
class Run:
    """One run of one side."""
    value: float
    cpu: float
    memory: int
    work: float
    own_share: float


@dataclasses.dataclass
class Result:
    """All runs of a row on one or both sides."""
    key: str
    runs: dict
    error: str = ""

    def median(self, side, field="value"):
        runs = self.runs.get(side) or []
        return statistics.median(getattr(run, field) for run in runs) if runs else None

    def ratios(self, lower_is_better):
        """Pair by pair how far Pillarbox is ahead."""
        peers, ours = self.runs.get("peer") or [], self.runs.get("ours") or []
        pairs = [(a.value, b.value) for a, b in zip(peers, ours) if a.value and b.value]
        return [a / b if lower_is_better else b / a for a, b in pairs]


def measure(row, side, seconds):
    """One run of a row on one side."""
    row.before(side)
    side.settle()
    with Meter(side.roots()) as meter:
        value, report = row.run(side, seconds)
    work = report.get("commands") or report.get("done") or 0
    return Run(value, meter.cpu, meter.peak, work, report.get("own_cpu_share", 0.0))


def compare(row, scene, pairs, seconds):
    """The row on both sides. An error of one side is noted and does not stop the run."""
    sides = [("peer", scene.peer), ("ours", scene.ours)]
    result = Result(row.key, {name: [] for name, side in sides if side})
    failed = {}
    # Round 0 warms up and is not counted.
    for number in range(pairs + 1):
        for name, side in sides:
            if not side or name in failed:
                continue
            try:
                run = measure(row, side, seconds)
            except (Failed, OSError, ValueError, KeyError) as error:
                failed[name] = f"{side.name}: {error}{side.end()}"
                say(f"  {row.key}: {failed[name]}")
                continue
            if number:
                result.runs[name].append(run)
        if row.once and number == 1:
            break
    result.error = "; ".join(failed.values())
    shown = ", ".join(f"{name} {result.median(name):.4g}" for name, _ in sides if result.runs.get(name))
    say(f"  {row.key}: {shown} {row.unit}")
    return result
