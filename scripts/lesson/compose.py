"""Composes the lesson of script.json into FOLDER: lesson.mp4, and lesson.truth.json with the true time of every utterance."""

import array
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import wave
from concurrent.futures import ThreadPoolExecutor

from packages import fail, run, take

HERE = pathlib.Path(__file__).resolve().parent
RATE = 16_000  # of the voices; the file carries 48 kHz
FRAMES_PER_SECOND = 25
FIRST_MS = 2_000  # silence before the first word
PAUSE_MS = 1_400  # between utterances: longer than any pause within one
SECTION_MS = 2_600  # before the first word of a new section
LEAD_MS = 40  # kept before a word's onset, so that its first sound is whole
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"


def voice(path):
    """Samples of one utterance from its onset on, at one loudness: (samples, milliseconds)."""
    raw = ["-f", "s16le", "-ar", "16000", "-ac", "1"] if path.suffix == ".raw" else []
    done = subprocess.run(
        ["ffmpeg", "-v", "error", *raw, "-i", path, "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-"],
        capture_output=True,
    )
    if done.returncode != 0:
        fail(f"ffmpeg cannot read {path}: {done.stderr.decode()[-500:]}")
    samples = array.array("h", done.stdout)
    window = RATE // 100
    power = [sum(s * s for s in samples[at : at + window]) for at in range(0, len(samples) - window, window)]
    # A word begins where 10 ms hold a thousandth of the loudest 10 ms' power (-30 dB), and does so three times running.
    loud = [p > max(power) / 1000 for p in power]
    onset = next(at for at in range(len(loud)) if all(loud[at : at + 3]))
    end = len(loud) - next(at for at, is_loud in enumerate(reversed(loud)) if is_loud)
    lead = LEAD_MS // 10
    cut = samples[max(0, onset - lead) * window : min(len(samples), (end + 12) * window)]
    gain = 0.6 * 32767 / max(1, max(abs(s) for s in cut))
    return array.array("h", (int(s * gain) for s in cut)), min(onset, lead) * 10


def stem(word):
    """As coarse as a search index may be, so that a unique word is unique there too."""
    word = re.sub(r"[^a-z]", "", word.lower())
    return re.sub(r"(ing|ed|ly|s)$", "", word) if len(word) > 4 else word


def place(script, cache):
    """The sound of the whole lesson, and what is said when."""
    sound, utterances, sections = array.array("h"), [], []
    for section in script["sections"]:
        section_start_ms = len(sound) * 1000 // RATE
        for index, entry in enumerate(section["says"]):
            pause_ms = (SECTION_MS if sections else FIRST_MS) if index == 0 else PAUSE_MS
            sound.extend(array.array("h", bytes(2 * RATE * pause_ms // 1000)))
            samples, lead_ms = voice(take(entry, script["packages"], cache))
            start_ms = len(sound) * 1000 // RATE + lead_ms
            sound.extend(samples)
            end_ms = len(sound) * 1000 // RATE
            utterances.append({"start_ms": start_ms, "end_ms": end_ms, "text": entry["text"]})
        sections.append({**section, "start_ms": section_start_ms, "first": len(utterances) - len(section["says"])})
    sound.extend(array.array("h", bytes(2 * RATE * FIRST_MS // 1000)))
    said = [stem(word) for utterance in utterances for word in re.split(r"[\s-]+", utterance["text"])]
    for utterance in utterances:
        utterance["word"] = re.sub(r"[^\w']", "", utterance["text"].split()[0])
        utterance["unique"] = said.count(stem(utterance["word"])) == 1
    return sound, utterances, sections


def text(folder, name, words, width):
    """Text to draw stands in files: nothing in it needs escaping."""
    path = folder / f"{name}.txt"
    path.write_text("\n".join(textwrap.wrap(words, width)))
    return path


def frame(time_ms):
    return round(time_ms * FRAMES_PER_SECOND / 1000)


def graph(section, number, utterances, end_ms, folder):
    """The picture of one section: a slide with a moving inset, or the moving picture itself, with the words in time."""
    start_ms, full_screen = section["start_ms"], section.get("full_screen", False)
    size = "1280:720" if full_screen else "448:252"
    chain = [
        f"[0:v]fps={FRAMES_PER_SECOND},scale={size}:force_original_aspect_ratio=increase:flags=bilinear,crop={size}[moving]"
    ]
    last = "moving"
    if not full_screen:
        chain.append(f"color=c=0x1f3a34:s=1280x720:r={FRAMES_PER_SECOND}[slide];[slide][moving]overlay=792:60[both]")
        last = "both"
    style = "drawtext=fontfile=%s:fontcolor=white:fontsize=%d:x=64:y=%d:line_spacing=12:textfile=%s"
    drawn = [
        style % (FONT, 44, 60, text(folder, f"title{number}", section["title"], 40)),
        style % (FONT, 20, 680, text(folder, f"note{number}", "composed lesson", 60)),
    ]
    first, count = section["first"], len(section["says"])
    for index in range(first, first + count):
        begin_s = (utterances[index]["start_ms"] - 300 - start_ms) / 1000
        until_ms = utterances[index + 1]["start_ms"] - 500 if index + 1 < first + count else end_ms
        words = text(folder, f"words{index}", utterances[index]["text"], 52)
        line = style % (FONT, 38, 520 if full_screen else 380, words)
        line += f":enable='between(t,{begin_s:.3f},{(until_ms - start_ms) / 1000:.3f})'"
        drawn.append(line + ":box=1:boxcolor=black@0.55:boxborderw=14" if full_screen else line)
    chain.append(f"[{last}]{','.join(drawn)}[v]")
    return ";\n".join(chain)


def film(section, number, utterances, end_ms, picture, folder):
    """Encodes the picture of one section; without B-frames, so that the sections join without a gap."""
    script = text(folder, f"graph{number}", "", 1)
    script.write_text(graph(section, number, utterances, end_ms, folder))
    out = folder / f"section{number}.mp4"
    run(
        *("ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", picture, "-filter_complex_script", script, "-map", "[v]"),
        *("-frames:v", frame(end_ms) - frame(section["start_ms"]), "-c:v", "libx264", "-preset", "superfast", "-crf", "25"),
        *("-bf", 0, "-g", 2 * FRAMES_PER_SECOND, "-threads", 1, "-pix_fmt", "yuv420p", out),
    )
    return out


def compose(folder, cache):
    script = json.loads((HERE / "script.json").read_text())
    sound, utterances, sections = place(script, cache)
    total_ms = len(sound) * 1000 // RATE
    pictures = {name: take(entry, script["packages"], cache) for name, entry in script["pictures"].items()}
    ends_ms = [section["start_ms"] for section in sections[1:]] + [total_ms]
    with tempfile.TemporaryDirectory(dir=folder) as temporary, ThreadPoolExecutor(os.cpu_count()) as pool:
        work = pathlib.Path(temporary)
        films = [
            pool.submit(film, section, number, utterances, end_ms, pictures[section["picture"]], work)
            for number, (section, end_ms) in enumerate(zip(sections, ends_ms))
        ]
        with wave.open(str(work / "voice.wav"), "wb") as wav:
            wav.setparams((1, 2, RATE, 0, "NONE", ""))
            wav.writeframes(sound.tobytes())
        (work / "films.txt").write_text("".join(f"file '{film.result()}'\n" for film in films))
        # A room is never silent: steady faint noise, the same on every machine.
        mix = "anoisesrc=r=48000:a=0.0012:c=pink:s=7[room];[1:a]aresample=48000[voice];"
        mix += "[voice][room]amix=inputs=2:duration=first:normalize=0[a]"
        run(
            *("ffmpeg", "-v", "error", "-y", "-f", "concat", "-safe", 0, "-i", work / "films.txt", "-i", work / "voice.wav"),
            *("-filter_complex", mix, "-map", "0:v", "-map", "[a]", "-c:v", "copy", "-c:a", "aac", "-b:a", "128k", "-ac", 2),
            *("-movflags", "+faststart", "-metadata", f"title={script['title']}", "-metadata", f"comment={script['note']}"),
            work / "lesson.mp4",
        )
        (work / "lesson.mp4").rename(folder / "lesson.mp4")
    truth = {
        "version": 1,
        "title": script["title"],
        "note": script["note"],
        "duration_ms": total_ms,
        "sections": [{"start_ms": s["start_ms"], "title": s["title"]} for s in sections],
        "utterances": utterances,
    }
    (folder / "lesson.truth.json").write_text(json.dumps(truth, indent=1) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    recipe = hashlib.sha256(b"".join(sorted(p.read_bytes() for p in HERE.glob("*.*")))).hexdigest()
    stamp = folder / "made-from"
    if stamp.is_file() and stamp.read_text() == recipe and (folder / "lesson.mp4").is_file():
        return
    cache = folder.parent / "packages"
    cache.mkdir(exist_ok=True)
    if not shutil.which("ffmpeg"):
        fail("needs ffmpeg: run scripts/setup lesson")
    print("make-lesson: composing the lesson", file=sys.stderr)
    compose(folder, cache)
    stamp.write_text(recipe)


if __name__ == "__main__":
    main()
