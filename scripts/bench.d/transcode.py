"""Our transcode step next to ffmpeg making the same renditions from the same file."""

import json
import pathlib
import shutil
import sys

import playable
import quality
import source
from measure import median, run, table

PAIRS = 5
KEYFRAMES = "expr:gte(t,n_forced*1.6)"
COLUMNS = [
    ("wall s", "wall_s", "{:.1f}"),
    ("CPU s", "cpu_s", "{:.1f}"),
    ("peak MiB", "peak_mib", "{:.0f}"),
    ("made MB", "mbytes", "{:.1f}"),
]
# What each row asks of us; ffmpeg does the same in both: x264 veryfast, its B-frames, a constant rate.
ROWS = {
    "a": ("same preset on both sides (goal: wall and CPU 0.95 or less)", ["preset=veryfast", "quality=0"]),
    "b": (
        "our preset for lessons, ffmpeg at veryfast (goal: wall and CPU 0.75 or less)",
        ["preset=lesson", "quality=0"],
    ),
}
# Of row a: CPU and time to ffmpeg's.
MOST_OF_FFMPEG = 1.05
# Of row b: what a rendition may lose, and cost more.
MOST_SSIM_LOST, MOST_RATE = 0.002, 1.03


def step(chalkstream):
    """The program that runs the transcode step alone."""
    return pathlib.Path(chalkstream).parent / "examples/step"


def ours(chalkstream, path, out, options):
    """Runs the step; what it took, its report, and the ladder it was asked for."""
    shutil.rmtree(out, ignore_errors=True)
    taken = run([step(chalkstream), path, out, "all", *options], limit_s=7200)
    told = [json.loads(line) for line in taken.output.splitlines()]
    if len(told) != 3:
        sys.exit(f"bench: no picture was made: {taken.output}")
    _, report, ladder = told
    size = sum(p.stat().st_size for p in (out / "video").rglob("*.m4s"))
    return row(taken, size), report, ladder


def row(taken, size):
    return {"wall_s": taken.wall_s, "cpu_s": taken.cpu_s, "peak_mib": taken.peak_bytes / 2**20, "mbytes": size / 1e6}


def ffmpeg(ladder, path, out):
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    marks = "".join(f"[s{i}]" for i in range(len(ladder)))
    chains = [f"[0:v]split={len(ladder)}{marks}"]
    maps, streams = [], []
    for i, rung in enumerate(ladder):
        rate = rung["frame_rate"]
        chains.append(f"[s{i}]fps={rate['num']}/{rate['den']},scale={rung['width']}:{rung['height']},setsar=1[v{i}]")
        kbit = rung["bitrate_bps"] // 1000
        maps += ["-map", f"[v{i}]", f"-profile:v:{i}", rung["profile"], f"-b:v:{i}", f"{kbit}k"]
        maps += [f"-maxrate:v:{i}", f"{kbit}k", f"-bufsize:v:{i}", f"{kbit * rung['vbv_ms'] // 1000}k"]
        streams.append(f"v:{i},name:{rung['name']}")
    taken = run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", path, "-filter_complex", ";".join(chains), *maps]
        + ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
        + ["-sc_threshold", 0, "-force_key_frames", KEYFRAMES]
        + ["-g", 250, "-f", "hls", "-hls_time", 3.2, "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
        + ["-hls_segment_filename", out / "%v_%05d.m4s", "-var_stream_map", " ".join(streams), out / "%v.m3u8"],
        limit_s=7200,
    )
    return row(taken, sum(p.stat().st_size for p in out.glob("*.m4s")))


def judged(path, report, out, playlist, segments):
    """Each rendition's rate and SSIM."""
    made = report["renditions"]
    shapes = [
        (out / playlist.format(r["name"]), r["width"], r["height"], (r["frame_rate"]["num"], r["frame_rate"]["den"]))
        for r in made
    ]
    values = quality.ssim(path, shapes)
    rates = [quality.rate(out, segments.format(r["name"]), r["duration_ms"] / 1000) for r in made]
    return {r["name"]: {"bps": rate, "ssim": value} for r, rate, value in zip(made, rates, values)}


def main(chalkstream, cache, pairs, settings, file=None):
    if not step(chalkstream).is_file():
        sys.exit("bench: the step's own program is missing; scripts/bench builds it")
    path, out = file or source.moving(cache), cache / "bench-out"
    taken = {name: [] for name in (*ROWS, "ffmpeg", "c")}
    quality, declined = {}, None
    for nth in range(pairs):
        for name, (_, options) in ROWS.items():
            seen, report, ladder = ours(chalkstream, path, out / name, options)
            taken[name].append(seen)
            if nth == 0:
                quality[name] = judged(path, report, out / name, "video/{}/index.m3u8", "video/{}/*.m4s")
        taken["ffmpeg"].append(ffmpeg(ladder["renditions"], path, out / "ffmpeg"))
        if nth == 0:
            quality["ffmpeg"] = judged(path, report, out / "ffmpeg", "{}.m3u8", "{}_*.m4s")
        if not declined:
            seen, declined = playable.until_ready(chalkstream, path)
            taken["c"].append(seen)
        print(
            f"  run {nth + 1} of {pairs}: "
            + ", ".join(f"{name} {rows[-1]['cpu_s']:.1f} CPU s" for name, rows in taken.items()),
            file=sys.stderr,
        )
    shutil.rmtree(out)
    names = ", ".join(r["name"] for r in report["renditions"])
    results = {"file": path.name, "seconds": report["duration_ms"] / 1000, "quality": quality}
    note = f"  {path.name}, {report['duration_ms'] / 1000:.0f} s"
    for name, (what, _) in ROWS.items():
        full = f"{note}, to {names}; keyframes each 1.6 s, constant rate, both sides; {what}"
        sides = ("chalkstream step", taken[name]), ("ffmpeg", taken["ffmpeg"])
        results[name] = table(f"Transcode against ffmpeg, row {name}", full, COLUMNS, *sides)
        compare(quality[name], quality["ffmpeg"])
    within = all(
        mine["ssim"] >= quality["ffmpeg"][rung]["ssim"] - MOST_SSIM_LOST
        and mine["bps"] <= MOST_RATE * quality["ffmpeg"][rung]["bps"]
        for rung, mine in quality["b"].items()
    )
    of_ffmpeg = {
        name: [median(taken[name], key) / median(taken["ffmpeg"], key) for key in ("cpu_s", "wall_s")] for name in ROWS
    }
    said = {
        name: f"row {name}: {cpu:.2f} of ffmpeg's CPU, {wall:.2f} of its time"
        for name, (cpu, wall) in of_ffmpeg.items()
    }
    held = "holds" if max(of_ffmpeg["a"]) <= MOST_OF_FFMPEG else "NOT HELD"
    print(f"\n  {said['a']} ({MOST_OF_FFMPEG} at most: {held})")
    close = f"every rendition within {MOST_SSIM_LOST} SSIM and {MOST_RATE:.0%} of its bits"
    print(f"  {said['b']}; {close}: {'yes' if within else 'NO'}")
    if declined:
        print(f"\n  row c: not measured, for browsers cannot play this file as it is: {declined}")
    else:
        full = f"{note}: the source plays as it is, so no rendition of its size is made; sound and stills included"
        sides = ("chalkstream, all steps", taken["c"]), ("ffmpeg", taken["ffmpeg"])
        results["c"] = table("Until a lesson is ready, row c", f"{full} (goal: CPU 0.45 or less)", COLUMNS, *sides)
    return results


def compare(mine, theirs):
    print(f"  {'rendition':<12}{'our kbit/s':>12}{'ffmpeg':>10}{'ratio':>8}{'our SSIM':>12}{'ffmpeg':>10}{'less':>10}")
    for name, own in mine.items():
        peer = theirs[name]
        ratio, lost = own["bps"] / peer["bps"], own["ssim"] - peer["ssim"]
        rates = f"{own['bps'] / 1000:>12.0f}{peer['bps'] / 1000:>10.0f}{ratio:>8.3f}"
        print(f"  {name:<12}{rates}{own['ssim']:>12.4f}{peer['ssim']:>10.4f}{lost:>+10.4f}")
