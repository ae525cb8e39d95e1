"""Runs a command and says what it and its children took: wall time, CPU time, peak memory."""

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PERIOD_S = 0.02


@dataclass
class Process:
    """What was last seen of one process."""

    first_s: float
    last_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0


@dataclass
class Taken:
    """What a run took."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    processes: dict = field(default_factory=dict)
    output: str = ""

    def child(self, seconds):
        """The descendant whose life was closest to `seconds`: the one step that took that long."""
        found = min(self.processes.values(), key=lambda p: abs(p.last_s - p.first_s - seconds))
        if abs(found.last_s - found.first_s - seconds) > max(0.5, 0.1 * seconds):
            sys.exit(f"bench: no child of {seconds:.1f} s was seen")
        return found


def stat(pid):
    """Parent, CPU seconds and resident bytes, or nothing for a process that has gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS, int(fields[21]) * PAGE


def tree(root):
    """The process and its descendants, each with CPU seconds and resident bytes."""
    every = {int(p.name): s for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and (s := stat(p.name))}
    family = {root} if root in every else set()
    while True:
        more = {pid for pid, (parent, *_) in every.items() if parent in family} - family
        if not more:
            return {pid: every[pid][1:] for pid in family}
        family |= more


def watch(root, taken, stop):
    while not stop.wait(PERIOD_S):
        now, seen = time.monotonic(), tree(root)
        taken.peak_bytes = max(taken.peak_bytes, sum(resident for _, resident in seen.values()))
        for pid, (cpu_s, resident) in seen.items():
            if pid != root:
                process = taken.processes.setdefault(pid, Process(now))
                process.last_s, process.cpu_s = now, cpu_s
                process.peak_bytes = max(process.peak_bytes, resident)


def run(command, limit_s, env=None, cwd=None):
    """Runs to the end, or for `limit_s` at most; a failure ends the benchmark."""
    taken, stop = Taken(), threading.Event()
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    child = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    watcher = threading.Thread(target=watch, args=(child.pid, taken, stop))
    watcher.start()
    try:
        taken.output, errors = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        sys.exit(f"bench: {command[0]} took longer than {limit_s} s")
    except BaseException:
        # The benchmark itself is stopped.
        child.terminate()
        child.communicate()
        raise
    finally:
        stop.set()
        watcher.join()
    taken.wall_s = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if child.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command[:3]))} … failed:\n{errors[-1500:]}")
    return taken


def median(rows, key):
    return statistics.median(row[key] for row in rows)


def table(title, note, columns, ours, peer):
    """Prints one comparison: (name, rows) twice, with the ratio of the medians."""
    print(f"\n{title}\n{note}")
    print(f"  {'median of ' + str(len(ours[1])):<26}" + "".join(f"{name:>16}" for name, *_ in columns))
    for name, rows in (ours, peer):
        print(f"  {name:<26}" + "".join(f"{form.format(median(rows, key)):>16}" for _, key, form in columns))
    ratios = [median(ours[1], key) / max(1e-9, median(peer[1], key)) for _, key, _ in columns]
    print(f"  {'ours / peer':<26}" + "".join(f"{ratio:>16.2f}" for ratio in ratios))
    for name, rows in (ours, peer):
        each = "; ".join(" ".join(form.format(row[key]) for _, key, form in columns) for row in rows)
        print(f"    {name}, each: {each}")
    sys.stdout.flush()
    return {
        "title": title,
        "ours": ours[1],
        "peer": peer[1],
        "ratio": {key: r for (_, key, _), r in zip(columns, ratios)},
    }
