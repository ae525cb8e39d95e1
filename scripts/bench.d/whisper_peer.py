"""faster-whisper on a WAV file; prints its own times, so that starting Python is not counted against it."""

import json
import resource
import sys
import time
import wave

import numpy as np
from faster_whisper import WhisperModel

model_path, wav_path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


wall, cpu = time.monotonic(), cpu_s()
model = WhisperModel(model_path, device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True)
with wave.open(wav_path) as wav:
    sound = np.frombuffer(wav.readframes(wav.getnframes()), np.int16).astype(np.float32) / 32768
segments, _ = model.transcribe(sound, language="en", beam_size=1, word_timestamps=True, vad_filter=True)
text = " ".join(segment.text.strip() for segment in segments)
peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"wall_s": time.monotonic() - wall, "cpu_s": cpu_s() - cpu, "peak_mib": peak_mib, "text": text}))
