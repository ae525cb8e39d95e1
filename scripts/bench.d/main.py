"""Runs the comparisons named, or all."""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import tomllib

import content_aware
import delivery
import meaning
import playable
import queue_steps
import search
import speech
import transcode
import weak_line

KINDS = {
    "transcode": transcode,
    "content-aware": content_aware,
    "playable": playable,
    "speech": speech,
    "delivery": delivery,
    "weak-line": weak_line,
    "queue": queue_steps,
    "search": search,
    "meaning": meaning,
}
# Kinds that take a file or a folder, and as many pairs as they say where none are asked for.
OF_A_FILE = ("transcode", "content-aware")
OF_A_FOLDER = ("speech", "meaning")
PAIRS = 3


def asked():
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        usage=f"scripts/bench [{'|'.join(KINDS)} ...] [FILE or FOLDER] [--pairs N] [--lessons N]",
    )
    parser.add_argument("words", nargs="*", metavar="KIND, FILE or FOLDER")
    others = ", ".join(f"{name} {kind.PAIRS}" for name, kind in KINDS.items() if hasattr(kind, "PAIRS"))
    parser.add_argument("--pairs", type=int, help=f"runs of each side (default: {others}, others {PAIRS})")
    parser.add_argument("--lessons", type=int, default=search.LESSONS, help="of search (default: %(default)s)")
    arguments = parser.parse_args()
    wanted = [word for word in arguments.words if word in KINDS]
    files = [pathlib.Path(word) for word in arguments.words if word not in KINDS]
    if missing := [str(file) for file in files if not file.exists()]:
        parser.error(f"neither a comparison nor a file: {', '.join(missing)}")
    fits = OF_A_FOLDER if files and files[0].is_dir() else OF_A_FILE
    if len(files) > 1 or (files and not set(wanted) <= set(fits)):
        parser.error(f"one file, and only for {' and '.join(OF_A_FILE)}; or one folder, and only for {' and '.join(OF_A_FOLDER)}")
    if arguments.pairs is not None and arguments.pairs < 1:
        parser.error("--pairs is at least 1")
    if arguments.lessons < 40:
        parser.error("--lessons is at least 40, two for each tenant")
    return wanted or list(KINDS if not files else fits), files[0].resolve() if files else None, arguments


def end(*_):
    """Ends as an error does, so that everything that was started is stopped."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit("bench: stopped by SIGTERM")


def main(chalkstream, cache):
    wanted, file, arguments = asked()
    settings = tomllib.loads(
        subprocess.run([chalkstream, "config", "print"], capture_output=True, text=True, check=True).stdout
    )
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, load {load:.1f} at the start"
        + (": this machine is busy, so trust ratios only" if load > 0.5 else "")
    )
    results = {}
    for name in wanted:
        kind = KINDS[name]
        count = arguments.pairs or getattr(kind, "PAIRS", PAIRS)
        more = {"file": file} if name in OF_A_FILE else {"folder": file} if name in OF_A_FOLDER else {}
        if name == "search":
            more = {"lessons": arguments.lessons}
        results[name] = kind.main(chalkstream, cache, count, settings, **more)
    path = cache / "bench.json"
    path.write_text(
        json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "load": load, **results}, indent=1)
    )
    print(f"\nEvery figure is in {path}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    main(os.environ["CHALKSTREAM_BIN"], pathlib.Path(os.environ["CHALKSTREAM_CACHE"]))
