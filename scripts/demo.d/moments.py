"""Prints the watch link of the recording just uploaded, and three moments found by what was said in it."""

import json
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request

chalkstream, data = sys.argv[1], pathlib.Path(sys.argv[2])


def ask(*words):
    done = subprocess.run([chalkstream, *words, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"demo: `chalkstream {words[0]}` failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def get(url, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return answer.read()


def spread(cues):
    """One long word out of each third of the lesson."""
    words = [(cue["start_ms"], word) for cue in cues for word in re.findall(r"[A-Za-z]{4,}", cue["text"])]
    for third in range(3):
        part = words[len(words) * third // 3 : len(words) * (third + 1) // 3]
        if part:
            yield max(part, key=lambda entry: len(entry[1]))[1].lower()


def clock(time_ms):
    return f"{time_ms // 60000}:{time_ms // 1000 % 60:02d}"


uploaded = json.loads((data / "uploaded.json").read_text())
link = ask("link", uploaded["id"], "--viewer", "demo", "--expires", "12h")
master = get(link["master_url"]).decode()
if not master.startswith("#EXTM3U"):
    sys.exit("demo: the link does not lead to a stream")

credentials = tomllib.loads((data / "credentials.toml").read_text())
server = link["url"].split("/watch/")[0]
try:
    transcript = json.loads(get(f"{server}/v1/recordings/{uploaded['id']}/transcript.json", credentials["api_key"]))
except urllib.error.HTTPError:
    transcript = {"cues": []}  # no sound, no words

print(f"\nWatch:  {link['url']}\n")
for word in spread(transcript["cues"]):
    for moment in ask("search", word)["moments"][:1]:
        print(f"  «{word}» at {clock(moment['start_ms'])}: {moment['text']}\n    {moment['link']}")
if not transcript["cues"]:
    print("  (nothing is said in this recording, so there is nothing to search)")
