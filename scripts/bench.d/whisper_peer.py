"""faster-whisper on WAV files; prints its own times, so that starting Python is not counted against it."""

import json
import resource
import sys
import wave

import numpy as np
from faster_whisper import WhisperModel

model_path, beams, paths = sys.argv[1], int(sys.argv[2]), sys.argv[3:]


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


before = cpu_s()
model = WhisperModel(model_path, device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
words = []
for path in paths:
    with wave.open(path) as wav:
        sound = np.frombuffer(wav.readframes(wav.getnframes()), np.int16).astype(np.float32) / 32768
    segments, _ = model.transcribe(sound, language="en", beam_size=beams, word_timestamps=True, vad_filter=True)
    words.append([(word.start, word.word) for segment in segments for word in segment.words or []])
peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"words": words, "cpu_s": cpu_s() - before, "peak_mib": peak_mib}))
