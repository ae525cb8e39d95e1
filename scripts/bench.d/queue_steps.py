"""Our queue next to BullMQ: steps that do nothing, done by one process with as many slots, on the same Redis."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from delivery import free_port, stop
from measure import table, tree

PAIRS = 5
JOBS, CONCURRENCY = 5_000, 16
# A side that takes longer to add its steps and do them hangs.
LIMIT_S = 120
HERE = pathlib.Path(__file__).parent
COLUMNS = (
    ("steps/s", "rate", "{:.0f}"),
    ("commands/step", "commands", "{:.1f}"),
    ("requests/step", "requests", "{:.2f}"),
    ("Redis µs/step", "redis_us", "{:.0f}"),
    ("client µs/step", "client_us", "{:.0f}"),
)


class Redis:
    """A Redis as docker/compose.yaml runs it, for one comparison."""

    def __init__(self, folder):
        self.port = free_port()
        options = ["--port", self.port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"]
        options += ["--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        command = [str(part) for part in [shutil.which("redis-server"), *options]]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while self.ask("PING") != "PONG":
            if time.monotonic() > end:
                sys.exit("bench: redis-server did not start")
            time.sleep(0.05)

    def ask(self, *words):
        done = subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def counts(self):
        """Calls of each command since the last reset, those that scripts make included; and Redis' CPU time."""
        calls = {}
        for line in self.ask("INFO", "commandstats").splitlines():
            if line.startswith("cmdstat_"):
                name, values = line.removeprefix("cmdstat_").split(":", 1)
                calls[name] = int(values.split("=", 1)[1].split(",", 1)[0])
        used = dict(line.split(":", 1) for line in self.ask("INFO", "cpu").splitlines() if ":" in line)
        return calls, float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def worked_off(redis, command):
    """One side: adds its steps, and does them."""
    redis.ask("FLUSHALL")
    peer = subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    # Reading its lines waits for as long as it lives.
    limit = threading.Timer(LIMIT_S, peer.kill)
    limit.start()
    try:
        if peer.stdout.readline().strip() != "ready":
            sys.exit(f"bench: {command[0]} did not add its steps within {LIMIT_S} s")
        redis.ask("CONFIG", "RESETSTAT")
        _, redis_before = redis.counts()
        client_before = tree(peer.pid)[peer.pid][0]
        peer.stdin.write("go\n")
        peer.stdin.flush()
        line = peer.stdout.readline()
        if not line:
            sys.exit(f"bench: {command[0]} did not do its steps within {LIMIT_S} s")
        seconds = json.loads(line)["seconds"]
        client_s = tree(peer.pid)[peer.pid][0] - client_before
        calls, redis_after = redis.counts()
        peer.stdin.write("end\n")
        peer.stdin.flush()
        peer.wait(30)
    finally:
        limit.cancel()
        stop(peer)
    ours = ("info", "config|resetstat")
    total = sum(count for name, count in calls.items() if name not in ours)
    # What clients send: scripts, and a worker's wait for work.
    sent = sum(calls.get(name, 0) for name in ("evalsha", "eval", "bzpopmin"))
    return {
        "rate": JOBS / seconds,
        "commands": total / JOBS,
        "requests": sent / JOBS,
        "redis_us": (redis_after - redis_before) * 1e6 / JOBS,
        "client_us": client_s * 1e6 / JOBS,
    }


def main(chalkstream, cache, pairs, _settings):
    ours, theirs = [], []
    example = pathlib.Path(chalkstream).parent / "examples/queue_peer"
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as folder:
        redis = Redis(folder)
        try:
            for _ in range(pairs):
                url = f"redis://127.0.0.1:{redis.port}"
                ours.append(worked_off(redis, [example, url, JOBS, CONCURRENCY]))
                node = ["node", HERE / "bullmq/peer.mjs", redis.port, JOBS, CONCURRENCY]
                theirs.append(worked_off(redis, node))
        finally:
            stop(redis.process)
    version = json.loads((HERE / "bullmq/package.json").read_text())["dependencies"]["bullmq"]
    return table(
        f"queue: {JOBS} steps that do nothing, {CONCURRENCY} at once",
        "one process a side; commands count those that scripts make, requests those that a client sends",
        COLUMNS,
        ("ours", ours),
        (f"BullMQ {version}", theirs),
    )
