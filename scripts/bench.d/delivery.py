"""Our delivery of signed segments next to nginx with secure_link: the same bytes, under the same wrk."""

import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

from measure import run, table, tree

CONNECTIONS, SECONDS = 64, 10
SECRET = "bench-only"

NGINX = """
{user}daemon off; worker_processes auto; pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  types {{ video/iso.segment m4s; }}
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3;
  uwsgi_temp_path {root}/t4; scgi_temp_path {root}/t5;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      root {root}/files;
      secure_link $arg_md5,$arg_expires;
      secure_link_md5 "$secure_link_expires$uri {secret}";
      if ($secure_link = "") {{ return 403; }}
      if ($secure_link = "0") {{ return 410; }}
    }}
  }}
}}
"""

SCRIPT = """
local paths, at = {{ {paths} }}, 0
request = function() at = at % #paths + 1; return wrk.format("GET", paths[at]) end
done = function(summary, latency)
  io.write(string.format('{{"requests":%d,"bytes":%d,"us":%d,"p99_us":%d,"bad":%d}}',
    summary.requests, summary.bytes, summary.duration, latency:percentile(99),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
"""


def nginx_conf(root, port):
    # Started by root, its workers would be nobody, who cannot read root's cache folder.
    user = "user root; " if os.getuid() == 0 else ""
    return NGINX.format(user=user, root=root, port=port, secret=SECRET)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def wait_for(process, url, limit_s):
    end = time.monotonic() + limit_s
    while time.monotonic() < end and process.poll() is None:
        try:
            return get(url)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"bench: nothing answers at {url.split('?')[0]}")


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def load(pid, base, paths, work):
    """One wrk run against the process `pid` (and its children)."""
    script = work / "wrk.lua"
    script.write_text(SCRIPT.format(paths=", ".join(f'"{path}"' for path in paths)))
    before = sum(cpu for cpu, _ in tree(pid).values())
    wrk = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script, base], limit_s=SECONDS + 30)
    after = tree(pid)
    seen = json.loads(re.search(r"\{.*\}", wrk.output).group())
    if seen["bad"]:
        sys.exit(f"bench: {seen['bad']} of {seen['requests']} requests failed")
    seconds = seen["us"] / 1e6
    cpu_s = sum(cpu for cpu, _ in after.values()) - before
    return {
        "rate": seen["requests"] / seconds,
        "mbit": seen["bytes"] * 8 / 1e6 / seconds,
        "p99_ms": seen["p99_us"] / 1000,
        "cpu_us": cpu_s * 1e6 / seen["requests"],
        "rss_mib": sum(resident for _, resident in after.values()) / 2**20,
    }


def segments(master):
    """Every media segment the session reaches, from relative URLs alone."""
    found = []
    for line in get(master).decode().splitlines():
        if line and not line.startswith("#"):
            playlist = urllib.parse.urljoin(master, line)
            for entry in get(playlist).decode().splitlines():
                if entry and not entry.startswith("#"):
                    found.append(urllib.parse.urljoin(playlist, entry))
    return found


def main(chalkstream, cache, pairs, _settings):
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as temporary:
        return measured(chalkstream, cache, pairs, pathlib.Path(temporary))


def measured(chalkstream, cache, pairs, work):
    port = free_port()
    env = {
        **os.environ,
        "CHALKSTREAM_DATA": str(work / "data"),
        "CHALKSTREAM__SPEECH__ENABLED": "false",
        "CHALKSTREAM__LOG__LEVEL": "warn",
    }
    log = open(work / "up.log", "w")
    up = subprocess.Popen([chalkstream, "up", "--listen", f"127.0.0.1:{port}"], env=env, stdout=log, stderr=log)
    web = None
    try:
        wait_for(up, f"http://127.0.0.1:{port}/readyz", 60)
        sent = run([chalkstream, "upload", cache / "lesson/lesson.mp4", "--wait", "--json"], limit_s=900, env=env)
        recording = json.loads(sent.output)["id"]
        link = json.loads(
            run([chalkstream, "link", recording, "--expires", "2h", "--json"], limit_s=30, env=env).output
        )
        urls = segments(link["master_url"])
        paths, files = [urllib.parse.urlsplit(url).path for url in urls], work / "files"
        signed, expires = [], int(time.time()) + 7200
        for number, url in enumerate(urls):
            name = f"/{number:05d}.m4s"
            files.mkdir(exist_ok=True)
            (files / name[1:]).write_bytes(get(url))
            digest = hashlib.md5(f"{expires}{name} {SECRET}".encode()).digest()
            signed.append(f"{name}?md5={base64.urlsafe_b64encode(digest).decode().rstrip('=')}&expires={expires}")
        web_port = free_port()
        (work / "nginx.conf").write_text(nginx_conf(work, web_port))
        web = subprocess.Popen(["nginx", "-p", work, "-c", work / "nginx.conf"], stderr=subprocess.DEVNULL)
        wait_for(web, f"http://127.0.0.1:{web_port}{signed[0]}", 20)
        server = server_of(up.pid)
        mine, theirs = [], []
        for _ in range(pairs):
            mine.append(load(server, f"http://127.0.0.1:{port}", paths, work))
            theirs.append(load(web.pid, f"http://127.0.0.1:{web_port}", signed, work))
        sizes = sum(path.stat().st_size for path in files.iterdir())
    finally:
        if web:
            stop(web)
        stop(up)
        log.close()
        shutil.rmtree(work / "files", ignore_errors=True)
    columns = [
        ("requests/s", "rate", "{:.0f}"),
        ("Mbit/s", "mbit", "{:.0f}"),
        ("p99 ms", "p99_ms", "{:.1f}"),
        ("CPU us/request", "cpu_us", "{:.0f}"),
        ("resident MiB", "rss_mib", "{:.0f}"),
    ]
    note = (
        f"  {len(paths)} segments of {sizes / len(paths) / 1000:.0f} kB on average from a folder, "
        f"wrk with {CONNECTIONS} connections for {SECONDS} s, on the same two cores"
    )
    sides = ("chalkstream server", mine), ("nginx secure_link", theirs)
    return table("Delivery of signed segments against nginx", note, columns, *sides)


def server_of(up):
    """The child of `up` that is the HTTP server."""
    for pid in tree(up):
        if b"server" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2]:
            return pid
    return up
