"""Search by meaning in transcripts of a folder: what words alone find, what meaning adds, and how long it takes."""

import json
import os
import pathlib
import sys

from measure import run
from search import percentile

PASSAGES = 450_000
LIMIT_S = 3600
QUERIES = pathlib.Path(__file__).parent / "meaning.tsv"
MODEL = "meaning-use-3.bin"


def main(chalkstream, _cache, _pairs, _settings, folder=None):
    print("\nSearch by meaning")
    if folder is None:
        print("  not measured: name the folder of TalkMoves' transcripts (some/FOLDER with the files of meaning.tsv)")
        return None
    example = pathlib.Path(chalkstream).parent / "examples/meaning_bench"
    model = pathlib.Path(os.environ["CHALKSTREAM_TEST_MODELS"]) / MODEL
    taken = run([example, model, folder, QUERIES, PASSAGES], LIMIT_S)
    result = json.loads(taken.output)
    print(
        f"  {result['lessons']} lessons, {result['passages']} passages, {result['queries']} queries in each language; "
        f"{result['embed_s_per_hour']:.2f} s of CPU for the passages of a lesson's hour; peak {taken.peak_bytes / 2**20:.0f} MiB"
    )
    print(f"  {'recall@1 / @10':<16}{'words':>14}{'meaning':>14}{'both':>14}{'answer':>8}{'p50 ms':>9}{'p99 ms':>9}")
    for language, row in result["recall"].items():
        shares = row["recall_at_1_and_10"]
        columns = "".join(f"{f'{shares[name][0]:.2f} / {shares[name][1]:.2f}':>14}" for name in ("words", "meaning", "both"))
        times = "".join(f"{percentile(row['times_ms'], share):>9.1f}" for share in (0.5, 0.99))
        print(f"  {language:<16}{columns}{shares['answer'][1]:>8.2f}{times}")
    print("  both: ten results, of all words, of meaning, then of some words; answer: anywhere in up to ten of each list")
    scan = result["scan"]
    print(f"  {scan['passages']} passages, indexed in {scan['build_s']:.0f} s; p50 and p99 in ms")
    for name in ("embed", "all", "uploader"):
        times = scan["times_ms"][name]
        print(f"  {name:<16}{percentile(times, 0.5):>9.1f}{percentile(times, 0.99):>9.1f}")
    sys.stdout.flush()
    return result
