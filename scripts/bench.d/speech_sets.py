"""What the speech bench listens to: the composed lesson, and with a folder of recordings five more classes."""

import json
import re
import subprocess
import wave
from dataclasses import dataclass, field

# The staged lesson ends here: after it children talk together, which nobody wrote down.
STAGED_END_S = 183.2
# Three tones that swell twice a second, and change every two seconds.
CHORDS = (
    "aevalsrc=exprs='(0.2+0.1*sin(4*PI*t))*(sin(2*PI*t*220*pow(2,mod(floor(t/2),5)/12))"
    "+sin(2*PI*t*277*pow(2,mod(floor(t/2),5)/12))+sin(2*PI*t*330*pow(2,mod(floor(t/2),5)/12)))/2':s=16000"
)


@dataclass
class Item:
    """A recording with its text."""

    kind: str
    name: str
    wav: str
    text: str
    # Start of each utterance in seconds, with its text.
    starts: list = field(default_factory=list)


def to_wav(source, target, lead_s, *options):
    """16 kHz mono, behind a moment of silence: the phase."""
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), *options, "-vn", "-ac", "1", "-ar", "16000"]
    if lead_s:
        command += ["-af", f"adelay={round(lead_s * 1000)}:all=1"]
    subprocess.run([*command, "-c:a", "pcm_s16le", str(target)], check=True, stdin=subprocess.DEVNULL)
    return str(target)


def composed(cache, out, lead_s):
    truth = json.loads((cache / "lesson/lesson.truth.json").read_text())["utterances"]
    wav = to_wav(cache / "lesson/lesson.mp4", out / f"composed-{lead_s}.wav", lead_s)
    starts = [(lead_s + one["start_ms"] / 1000, one["text"]) for one in truth]
    return Item("composed", "lesson", wav, " ".join(one["text"] for one in truth), starts)


def folder(media, out, lead_s):
    """The five classes of a folder with `speech/references.json` and `derived/lesson_sim_A`."""
    items = []
    for one in json.loads((media / "speech/references.json").read_text()):
        path = media / one["file"]
        kind = kind_of(path.name)
        if kind and one.get("text") and one.get("lang", "en") == "en":
            items.append((kind, path, one["text"]))
    made = [
        Item(kind, path.stem, to_wav(path, out / f"{path.stem}-{lead_s}.wav", lead_s), text)
        for kind, path, text in items
    ]
    return [*made, phone(media / "speech", out, lead_s), staged(media / "derived", out, lead_s)]


def quiet(cache, out, media):
    """A minute each of sounds in which nobody says a word."""
    minute = ["-t", "60"]
    sources = {
        "silence": ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono"],
        "white noise": ["-f", "lavfi", "-i", "anoisesrc=r=16000:c=white:a=0.1:s=1"],
        "pink noise": ["-f", "lavfi", "-i", "anoisesrc=r=16000:c=pink:a=0.3:s=1"],
        "chords": ["-f", "lavfi", "-i", CHORDS],
        "reversed speech": ["-i", str(cache / "lesson/lesson.mp4"), "-af", "areverse"],
    }
    if media:
        sources["laughter"] = ["-stream_loop", "-1", "-i", str(media / "speech/wt_laugh1.mp3")]
    made = {}
    for name, source in sources.items():
        made[name] = str(out / f"quiet-{name.replace(' ', '-')}.wav")
        command = ["ffmpeg", "-v", "error", "-y", *source, *minute, "-vn", "-ac", "1", "-ar", "16000", made[name]]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return made


def hour(lesson, out):
    """The lesson again and again for an hour, and the length of one copy in seconds."""
    target = out / "hour.wav"
    command = ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", lesson, "-t", "3600", "-c", "copy", str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return str(target), length_s(lesson)


def kind_of(name):
    kinds = {r"child_": "children", r"adult_": "adults", r"librivox_(austen|en)|libri_2412|jfk": "readings"}
    return next((kind for pattern, kind in kinds.items() if re.match(pattern, name)), None)


def phone(speech, out, lead_s):
    lines = (speech / "sample_phone_diane_sheila.stm").read_text().splitlines()
    turns = [line.split(None, 5) for line in lines if line.strip()]
    wav = to_wav(speech / "sample_phone_diane_sheila.wav", out / f"phone-{lead_s}.wav", lead_s)
    starts = [(lead_s + float(turn[3]), turn[5]) for turn in turns]
    return Item("phone", "diane-sheila", wav, " ".join(turn[5] for turn in turns), starts)


def staged(derived, out, lead_s):
    truth = json.loads((derived / "lesson_sim_A.truth.json").read_text())["segments"]
    said = [one for one in truth if one.get("text") and one["end"] <= STAGED_END_S]
    target = out / f"staged-{lead_s}.wav"
    wav = to_wav(derived / "lesson_sim_A.mp4", target, lead_s, "-t", str(STAGED_END_S))
    starts = [(lead_s + one["start"], one["text"]) for one in said]
    return Item("staged", "lesson_sim_A", wav, " ".join(one["text"] for one in said), starts)


def length_s(wav):
    with wave.open(wav) as opened:
        return opened.getnframes() / opened.getframerate()
