"""Constant quality below a cap next to the same ladder at constant rates: the bits each spends, also at equal SSIM."""

import math
import shutil
import sys

import source
from transcode import judged, ours

PAIRS = 1
# Shares of its set rates at which the fixed ladder is made, to know its rate at any SSIM.
SHARES = (0.15, 0.3, 0.6, 1.0, 1.15)
SET = SHARES.index(1.0)


def main(chalkstream, cache, _pairs, _settings, file=None):
    clips = {"given": file} if file else {"static": source.static(cache), "moving": source.moving(cache, 60)}
    return {kind: compare(kind, path, chalkstream, cache / "bench-out") for kind, path in clips.items()}


def compare(kind, path, chalkstream, out):
    def made(options):
        _, report, _ = ours(chalkstream, path, out, options)
        found = judged(path, report, out, "video/{}/index.m3u8", "video/{}/*.m4s")
        shutil.rmtree(out)
        print(f"  {kind}: {' '.join(options) or 'content-aware'} done", file=sys.stderr)
        return found

    aware = made([])
    fixed = [made(["quality=0", f"rates={share}"]) for share in SHARES]
    print(f"\nContent-aware against the fixed ladder: {kind} ({path.name})")
    print("  equal SSIM: our bits over those that a constant rate needs for the same SSIM")
    sides = f"{'aware kbit/s':>14}{'SSIM':>9}{'fixed kbit/s':>14}{'SSIM':>9}"
    print(f"  {'rendition':<12}{sides}{'as made':>9}{'equal SSIM':>12}")
    rows, spent, set_rate, equal = {}, 0.0, 0.0, 0.0
    for name, own in aware.items():
        full = fixed[SET][name]
        needed, outside = rate_at(own["ssim"], [point[name] for point in fixed])
        rows[name] = {
            "aware": own,
            "fixed": [point[name] for point in fixed],
            "as_made": own["bps"] / full["bps"],
            "equal_ssim": own["bps"] / needed,
        }
        spent, set_rate, equal = spent + own["bps"], set_rate + full["bps"], equal + needed
        mark = " *" if outside else ""
        print(
            f"  {name:<12}{own['bps'] / 1000:>14.0f}{own['ssim']:>9.4f}{full['bps'] / 1000:>14.0f}{full['ssim']:>9.4f}"
            f"{own['bps'] / full['bps']:>9.2f}{own['bps'] / needed:>12.2f}{mark}"
        )
    sides = f"{spent / 1000:>14.0f}{'':>9}{set_rate / 1000:>14.0f}{'':>9}"
    print(f"  {'all':<12}{sides}{spent / set_rate:>9.2f}{spent / equal:>12.2f}")
    print("  * outside the fixed ladder's points: taken at the nearest of them", flush=True)
    return {"file": path.name, "renditions": rows, "as_made": spent / set_rate, "equal_ssim": spent / equal}


def rate_at(ssim, points):
    """The rate at which the fixed ladder has this SSIM, between its points: SSIM over the logarithm of the rate. Beyond
    them, the nearest point's own rate, and that it was."""
    points = sorted(points, key=lambda point: point["bps"])
    for below, above in zip(points, points[1:]):
        if below["ssim"] <= ssim <= above["ssim"]:
            share = (ssim - below["ssim"]) / max(1e-9, above["ssim"] - below["ssim"])
            low, high = math.log(below["bps"]), math.log(above["bps"])
            return math.exp(low + share * (high - low)), False
    nearest = min(points, key=lambda point: abs(point["ssim"] - ssim))
    return nearest["bps"], True
