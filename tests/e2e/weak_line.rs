//! The weak line's promise: with its audio, 150 kbit/s in the mean and 192 in every segment,
//! whatever is filmed.

use std::path::Path;
use std::process::Command;

use chalkstream_tests::media::ffmpeg;
use chalkstream_tests::process::chalkstream;
use chalkstream_tests::stream::files;
use m3u8_rs::Playlist;
use tempfile::TempDir;

const MAX_MEAN_BPS: f64 = 150_000.0;
const MAX_PEAK_BPS: f64 = 192_000.0;

/// Each segment's length in seconds and size in bytes, `moof` and all.
fn segments(playlist: &Path) -> Vec<(f64, u64)> {
    let Ok(Playlist::MediaPlaylist(media)) =
        m3u8_rs::parse_playlist_res(&std::fs::read(playlist).unwrap()).map_err(drop)
    else {
        panic!("{} is no media playlist", playlist.display());
    };
    let folder = playlist.parent().unwrap();
    let size = |uri: &str| std::fs::metadata(folder.join(uri)).unwrap().len();
    media.segments.iter().map(|s| (f64::from(s.duration), size(&s.uri))).collect()
}

fn holds(source: &str, seconds: f64) {
    let folder = TempDir::new().unwrap();
    let (file, out) = (folder.path().join("busy.mp4"), folder.path().join("out"));
    ffmpeg(
        &format!(
            "{source} -f lavfi -i anoisesrc=a=0.9 -t {seconds} -c:v libx264 -preset ultrafast -crf 30 -pix_fmt yuv420p -c:a aac"
        ),
        &file,
    );
    // The smallest two only: the others take long on noise, and are not what is promised.
    let rung = |name: &str, width: u32, height: u32, rate: u32, bps: u32| {
        format!("{{name=\"{name}\",width={width},height={height},max_frame_rate={rate},bitrate_bps={bps}}}")
    };
    let ladder = [rung("v360", 640, 360, 30, 450_000), rung("v240", 426, 240, 15, 110_000)].join(",");
    let output = Command::new(chalkstream())
        .env("CHALKSTREAM__SPEECH__ENABLED", "false")
        .env("CHALKSTREAM__MEDIA__LADDER", format!("[{ladder}]"))
        .args(["process", "--json", "--out"])
        .args([&out, &file])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let playlists = files(&out, "m3u8");
    let named = |end: &str| segments(playlists.iter().find(|path| path.ends_with(end)).unwrap());
    let (video, audio) = (named("video/v240/index.m3u8"), named("audio/a32/index.m3u8"));
    assert!(video.len() >= 3 && video.len().abs_diff(audio.len()) <= 1, "{video:?} {audio:?}");
    let rate = |(seconds, bytes): (f64, u64)| bytes as f64 * 8.0 / seconds;
    let all = |list: &[(f64, u64)]| rate(list.iter().fold((0.0, 0), |a, s| (a.0 + s.0, a.1 + s.1)));
    let mean = all(&video) + all(&audio);
    assert!(mean <= MAX_MEAN_BPS, "{mean:.0} bit/s in the mean: {video:?} {audio:?}");
    for (nth, pair) in video.iter().zip(&audio).enumerate() {
        let peak = rate(*pair.0) + rate(*pair.1);
        assert!(peak <= MAX_PEAK_BPS, "{peak:.0} bit/s in segment {nth}: {video:?} {audio:?}");
    }
    // It is still a video, and not what is left of one.
    assert!(all(&video) > 60_000.0, "{video:?}");
}

#[test]
fn holds_on_a_busy_test_picture() {
    // What is left after three segments is less than half of one.
    holds("-f lavfi -i testsrc2=s=1920x1080:r=30", 10.0);
}

#[test]
fn holds_on_noise() {
    // Every sample random: the worst there is to encode. (`geq` with `random` makes the same, at a
    // frame a second.)
    holds("-f rawvideo -pix_fmt yuv420p -s 1920x1080 -r 30 -i /dev/urandom", 11.4);
}
