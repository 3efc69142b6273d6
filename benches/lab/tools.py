"""Runs the load generator and other programs, and says clearly what failed."""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
PEER = ROOT / "tests" / "peers" / "peer"


class Failed(Exception):
    """A program failed, or its work was not done."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(*command, check=True, **options):
    """Runs a program. Returns its standard output."""
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if check and done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def load(*arguments):
    """Runs the load generator. Its report as a dictionary; any failed operation fails the row."""
    command = [str(PROGRAMS / "load"), "--json", *map(str, arguments)]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=1800)
    if done.returncode == 2 or not done.stdout:
        raise Failed(f"{' '.join(command[2:])}: {done.stderr.strip()[-600:]}")
    report = json.loads(done.stdout)
    if report.get("failed"):
        raise Failed(f"{' '.join(command[2:])}: {report['failed']} failed, first: {report.get('first_error')}")
    return report


def peer(*arguments):
    return run(PEER, *arguments).strip()
