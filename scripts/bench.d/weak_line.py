"""From the click to the moving picture with sound, over shaped lines: Chromium behind the tests' shaping proxy."""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import urllib.parse

from delivery import free_port, stop, wait_for
from measure import run

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNS = 5


def line(down_bps, up_bps, one_way_ms):
    return {"down_bps": down_bps, "up_bps": up_bps, "one_way_ms": one_way_ms}


# Name, the line, what else the script is told, the goal for the start in seconds, and what must hold: of the median
# start, of every run's stalls in seconds, and of the level it ends at. The round trip is twice the delay.
CASES = [
    (
        "192 kbit/s + 200 ms, warm",
        line(192_000, 192_000, 100),
        {"warm": True},
        4.0,
        ("a start within 6 s, then no stall", lambda start, stalls, _: start <= 6 and not any(stalls)),
    ),
    (
        "192 kbit/s + 200 ms, cold",
        line(192_000, 192_000, 100),
        {},
        9.0,
        ("a start within 12 s, then no stall", lambda start, stalls, _: start <= 12 and not any(stalls)),
    ),
    (
        "1 Mbit/s + 100 ms, cold",
        line(1_000_000, 500_000, 50),
        {},
        2.0,
        (
            "a start within 3 s, settled on 360 lines or more",
            lambda start, _, levels: start <= 3 and min(levels) >= 360,
        ),
    ),
    (
        "5 Mbit/s, 0.3 from 15 to 45 s, and from 75 s",
        line(5_000_000, 1_000_000, 25),
        {
            "play_s": 100,
            "trace": [
                {"at_media_s": at, "down_bps": bps} for at, bps in [(15, 300_000), (45, 5_000_000), (75, 300_000)]
            ],
        },
        None,
        (
            "at most one stall, below 1 s",
            lambda _, stalls, __: all(len(each) <= 1 and sum(each) < 1 for each in stalls),
        ),
    ),
]


def main(chalkstream, cache, _pairs, _settings):
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as temporary:
        return measured(pathlib.Path(chalkstream), cache, pathlib.Path(temporary))


def measured(chalkstream, cache, work):
    port = free_port()
    env = {
        "CHALKSTREAM_DATA": str(work / "data"),
        "CHALKSTREAM__LOG__LEVEL": "warn",
        "CHALKSTREAM__SPEECH__MODEL_PATH": str(cache / "models"),
    }
    log = open(work / "up.log", "w")
    up = subprocess.Popen(
        [chalkstream, "up", "--listen", f"127.0.0.1:{port}"], env={**os.environ, **env}, stdout=log, stderr=log
    )
    try:
        wait_for(up, f"http://127.0.0.1:{port}/readyz", 60)
        sent = run([chalkstream, "upload", cache / "lesson/lesson.mp4", "--wait", "--json"], limit_s=1800, env=env)
        recording = json.loads(sent.output)["id"]
        link = json.loads(
            run([chalkstream, "link", recording, "--expires", "3h", "--json"], limit_s=30, env=env).output
        )
        asked = {
            "shaper": str(chalkstream.parent / "shaper"),
            "upstream": f"127.0.0.1:{port}",
            "path": urllib.parse.urlsplit(link["url"]).path,
            "runs": RUNS,
        }
        return {
            name: case(name, {**asked, "rates": rates, **more}, goal_s, must)
            for name, rates, more, goal_s, must in CASES
        }
    finally:
        stop(up)
        log.close()


def case(name, asked, goal_s, must):
    done = subprocess.run(
        ["node", "weak_line.mjs"],
        cwd=ROOT / "tests/browser",
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"bench: weak_line.mjs: {done.stderr}")
    runs = json.loads(done.stdout)["runs"]
    starts = [one["start_ms"] / 1000 for one in runs]
    print(f"\n{name}, {asked.get('play_s', 60)} s played, {len(runs)} runs")
    goal = f" (goal {goal_s:g})" if goal_s else ""
    median, each = f"{statistics.median(starts):.2f} s{goal}", " ".join(f"{start:.2f}" for start in starts)
    print(f"  first moving frame with sound, from navigation: median {median}, each {each}")
    print(
        f"  {'start s':>8}{'kB before':>11}{'stalls':>8}{'longest ms':>12}{'first frag':>20}"
        f"{'hls estimate kbit/s':>21}{'levels':>22}{'ahead s':>9}"
    )
    for one in runs:
        frag, end = one["first_frag"] or {}, one["at_end"]
        levels = ">".join(str(switch["level"]) for switch in one["switches"])
        stalls = [stall["ms"] for stall in one["stalls"]]
        first = f"{frag.get('level')}p {frag.get('bytes', 0) / 1000:.0f} kB {frag.get('ms')} ms"
        print(
            f"  {one['start_ms'] / 1000:>8.2f}{(one['bytes_until_start'] or 0) / 1000:>11.0f}"
            f"{len(stalls):>8}{max(stalls, default=0):>12}{first:>20}"
            f"{end['bandwidth_estimate_bps'] / 1000:>21.0f}{levels:>22}{end['ahead_s']:>9.0f}"
        )
    what, holds = must
    held = holds(
        statistics.median(starts),
        [[stall["ms"] / 1000 for stall in one["stalls"]] for one in runs],
        [one["at_end"]["level"] or 0 for one in runs],
    )
    print(f"  {what}: {'holds' if held else 'NOT HELD'}", flush=True)
    return {"holds": held, "start_s": statistics.median(starts), "goal_s": goal_s, "runs": runs}
