"""Quality of every side, measured in one way: bitrate and SSIM of each rendition against the source scaled to its size."""

import re
import subprocess
import sys


def ssim(source, made):
    """SSIM (all planes) of (playlist, width, height, (num, den)) against a source, frame by frame; one decode of it."""
    chains = ["[0:v]split=%d%s" % (len(made), "".join(f"[s{i}]" for i in range(len(made))))]
    for i, (_, width, height, (num, den)) in enumerate(made):
        order = f"settb=1/90000,setpts=N*90000*{den}/{num}"
        shape = f"fps={num}/{den},scale={width}:{height}:flags=bicubic,setsar=1,format=yuv420p"
        chains.append(f"[s{i}]{shape},{order}[r{i}]")
        chains.append(f"[{i + 1}:v]setsar=1,{order}[m{i}];[m{i}][r{i}]ssim[o{i}]")
    inputs = [word for playlist, *_ in made for word in ("-i", playlist)]
    outputs = [word for i in range(len(made)) for word in ("-map", f"[o{i}]", "-f", "null", "-")]
    # ffmpeg names its filters in the order they stand in: that is the order of the renditions.
    command = ["ffmpeg", "-nostdin", "-v", "info", "-nostats", "-i", source, *inputs]
    command += ["-filter_complex", ";".join(chains), *outputs]
    text = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=7200).stderr
    found = {int(nth): float(value) for nth, value in re.findall(r"Parsed_ssim_(\d+) @ .*All:([\d.]+)", text)}
    if len(found) != len(made):
        sys.exit(f"bench: measuring the quality failed:\n{text[-1500:]}")
    return [found[nth] for nth in sorted(found)]


def rate(folder, pattern, seconds):
    """Mean bits per second of the segments that match."""
    return sum(path.stat().st_size for path in folder.glob(pattern)) * 8 / seconds
