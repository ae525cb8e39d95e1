"""How long after the last uploaded byte a lesson can be watched, by its length, next to the time that decoding takes."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request

from delivery import free_port, wait_for
from measure import TICKS, run, tree
from source import moving

MINUTES = (1, 10, 45, 90)
# What a phone makes: a keyframe each second, no B-frames.
PHONE = "-c:v libx264 -preset superfast -crf 23 -g 30 -bf 0 -c:a aac -b:a 128k -ar 48000 -movflags +faststart".split()
POLL_S = 0.05
LIMIT_S = 3 * 3600


def source(cache, minutes):
    """A lesson of this length: one minute of 1080p30, as a phone would code it, over and over."""
    minute = cache / "bench-phone-1.mp4"
    if not minute.is_file():
        part = cache / "bench-phone-1.part.mp4"
        run(["ffmpeg", "-v", "error", "-y", "-i", moving(cache, 60), "-t", 60, *PHONE, part], limit_s=900)
        part.rename(minute)
    if minutes == 1:
        return minute
    path = cache / f"bench-phone-{minutes}.mp4"
    if not path.is_file():
        part = cache / f"bench-phone-{minutes}.part.mp4"
        again = ["-stream_loop", minutes - 1, "-i", minute, "-c", "copy", "-movflags", "+faststart", part]
        run(["ffmpeg", "-v", "error", "-y", *again], limit_s=900)
        part.rename(path)
    return path


class Stack:
    """Everything on one box, for the time of the measurement."""

    def __init__(self, chalkstream):
        self.chalkstream = chalkstream
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="chalkstream-bench-"))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.data = self.folder / "data"
        env = {**os.environ, "CHALKSTREAM__SPEECH__ENABLED": "false", "CHALKSTREAM__LOG__LEVEL": "warn"}
        command = [chalkstream, "up", "--data", self.data, "--listen", self.url.removeprefix("http://")]
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env
        )
        wait_for(self.process, f"{self.url}/readyz", 60)
        self.key = tomllib.loads((self.data / "credentials.toml").read_text())["api_key"]

    def ask(self, path, method="GET"):
        request = urllib.request.Request(
            self.url + path, method=method, headers={"authorization": f"Bearer {self.key}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def upload(self, path):
        command = [str(self.chalkstream), "upload", str(path), "--data", str(self.data), "--json"]
        taken = subprocess.run(command, capture_output=True, text=True)
        if taken.returncode != 0:
            sys.exit(f"bench: the upload failed:\n{taken.stderr[-1500:]}")
        return json.loads(taken.stdout)["id"]

    def cpu_s(self):
        """CPU seconds of everything so far, of what has ended as well."""
        ticks = 0
        for pid in tree(self.process.pid):
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                # Over since it was listed: its parent counts it now.
                continue
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS

    def peak_bytes(self):
        """Resident memory of everything, now."""
        return sum(resident for _, resident in tree(self.process.pid).values())

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def until_ready(chalkstream, path):
    """What a lesson takes by the default policy, from its last uploaded byte until all is done, without a transcript; and
    why its file is not played as it is, where it is not."""
    stack = Stack(chalkstream)
    try:
        recording, before, start, peak = stack.upload(path), stack.cpu_s(), time.monotonic(), 0
        while (view := stack.ask(f"/v1/recordings/{recording}"))["state"] != "ready":
            if view["state"] == "failed" or time.monotonic() - start > LIMIT_S:
                sys.exit(f"bench: the lesson did not become ready: {view.get('failure', view['state'])}")
            peak = max(peak, stack.peak_bytes())
            time.sleep(POLL_S)
        if view.get("warnings"):
            sys.exit(f"bench: the lesson is not whole: {view['warnings']}")
        seen = {"wall_s": time.monotonic() - start, "cpu_s": stack.cpu_s() - before, "peak_mib": peak / 2**20}
        made = stack.data.joinpath("objects").rglob("hls/video/**/*.m4s")
        seen["mbytes"] = sum(segment.stat().st_size for segment in made) / 1e6
        return seen, None if "source" in view["playable_with"] else view.get("source_declined") or "declined"
    finally:
        stack.close()


def follow(stack, recording, start):
    """Seconds until each thing can be watched, from `start` on; ends with the weak line's rendition."""
    seen = {}
    while time.monotonic() - start < LIMIT_S:
        now, view = time.monotonic() - start, stack.ask(f"/v1/recordings/{recording}")
        if view["state"] == "failed":
            sys.exit(f"bench: the lesson failed: {view['failure']}")
        for name in view["playable_with"]:
            seen.setdefault(name, now)
        for step in view["steps"]:
            if step["name"] == "weak_line" and (step.get("done_ms") or 0) >= 30_000:
                seen.setdefault("v240_30s", now)
        if "v240" in seen and view["revision"] % 2 == 0:
            return seen
        time.sleep(POLL_S)
    sys.exit("bench: the lesson took too long")


def main(chalkstream, cache, _pairs, _settings, minutes=MINUTES):
    rows = []
    print("\nTime to playable, in seconds after the last uploaded byte: 1080p30 H.264 and AAC, as a phone makes it")
    stills = f"{'stills + sound':>16}{'of length':>11}"
    print(f"  {'lesson':<10}{'source':>10}{stills}{'30 s made':>12}{'v240':>10}{'decoding':>10}{'ratio':>8}")
    for length in minutes:
        path = source(cache, length)
        alone = ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:v", "-f", "null", "-"]
        decoding = run(alone, limit_s=LIMIT_S)
        stack = Stack(chalkstream)
        try:
            recording = stack.upload(path)
            start = time.monotonic()
            seen = follow(stack, recording, start)
        finally:
            stack.close()
        row = {
            "minutes": length,
            "source_s": seen.get("source"),
            "stills_s": max(seen.get("stills", 0), seen.get("sound", 0)),
            "v240_30s_s": seen.get("v240_30s", seen["v240"]),
            "v240_s": seen["v240"],
            "decoding_s": decoding.wall_s,
        }
        rows.append(row)
        shown = "never" if row["source_s"] is None else f"{row['source_s']:.1f}"
        share, ratio = row["stills_s"] / (length * 60), row["v240_s"] / row["decoding_s"]
        stills = f"{row['stills_s']:>16.1f}{share:>11.3f}"
        v240 = f"{row['v240_30s_s']:>12.1f}{row['v240_s']:>10.1f}{row['decoding_s']:>10.1f}{ratio:>8.2f}"
        print(f"  {length:>3} min   {shown:>10}{stills}{v240}", flush=True)
    print("  «30 s made»: the first 30 s of v240, shown at once, but with the rest of it where the source is played.")
    return rows
