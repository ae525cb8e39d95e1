"""Runs the comparisons named, or all."""

import json
import os
import pathlib
import subprocess
import sys
import time
import tomllib

import delivery
import speech
import transcode
import weak_line

KINDS = {"transcode": transcode, "speech": speech, "delivery": delivery, "weak-line": weak_line}
PAIRS = 3


def main():
    chalkstream, cache = sys.argv[1], pathlib.Path(sys.argv[2])
    wanted = sys.argv[3:] or list(KINDS)
    if unknown := set(wanted) - set(KINDS):
        sys.exit(f"usage: scripts/bench [{'|'.join(KINDS)} ...]; there is no {', '.join(unknown)}")
    settings = tomllib.loads(subprocess.run([chalkstream, "config", "print"], capture_output=True, text=True, check=True).stdout)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} at the start" + (": this machine is busy, so trust ratios only" if load > 0.5 else ""))
    results = {name: KINDS[name].main(chalkstream, cache, PAIRS, settings) for name in wanted}
    path = cache / "bench.json"
    path.write_text(json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "load": load, **results}, indent=1))
    print(f"\nEvery figure is in {path}")


if __name__ == "__main__":
    main()
