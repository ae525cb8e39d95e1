"""Writes FOLDER/spanish.wav, 16 kHz: Spanish speech for the tests of lessons in two languages."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from packages import run, take  # noqa: E402

PACKAGES = {
    "spanish": {
        "from": "debian",
        "name": "asterisk-core-sounds-es-wav",
        "folder": "usr/share/asterisk/sounds/es_MX_f_Allison",
        "licence": "CC-BY-SA-3.0",
    }
}
SPEECH = {
    "package": "spanish",
    "file": "demo-congrats.wav",
    "sha256": "1c7c6f73d5c7e1ad8b9cd1ebaee24a755680fecb8577cb3a6b98ef4669b0d683",
}


def main():
    folder = pathlib.Path(sys.argv[1])
    out = folder / "spanish.wav"
    if out.is_file():
        return
    source = take(SPEECH, PACKAGES, folder.parent / "packages")
    part = folder / "spanish.part.wav"
    run("ffmpeg", "-v", "error", "-y", "-i", source, "-ac", 1, "-ar", 16_000, "-c:a", "pcm_s16le", part)
    part.rename(out)


if __name__ == "__main__":
    main()
