//! MP4 files whose headers state a wrong length: in other ticks, 0, unknown, 15 times off. The
//! sample tables are right.

use super::maker::Maker;
use super::mp4::{below, find, set_duration, timescale, track};
use super::scene::Scene;
use super::variant::Variant;

/// The statement of a header.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// The media's length in the movie's ticks.
    MovieTicks,
    /// Nothing.
    Zero,
    /// All bits set: unknown.
    Unknown,
    /// Fifteen times as long.
    Long,
    /// A fifteenth.
    Short,
}

/// Which headers are wrong, and how.
const HOW: [(&[&str], Wrong); 12] = [
    (&["mdhd"], Wrong::MovieTicks),
    (&["mdhd"], Wrong::Zero),
    (&["mdhd", "mvhd", "tkhd"], Wrong::Zero),
    (&["mdhd"], Wrong::Long),
    (&["mdhd"], Wrong::Short),
    (&["mvhd", "tkhd"], Wrong::Long),
    (&["mvhd", "tkhd"], Wrong::Short),
    (&["mvhd"], Wrong::Unknown),
    (&["mdhd", "mvhd", "tkhd"], Wrong::Unknown),
    (&["mehd"], Wrong::Long),
    (&["mehd"], Wrong::Short),
    (&["mehd"], Wrong::Zero),
];

/// The headers above in turn, of all tracks or of one.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (headers, wrong) = HOW[index % HOW.len()];
    let length_s = maker.any(&[6.0, 8.0, 10.0]);
    let size = maker.any(&[(320, 180), (640, 360)]);
    let scene = Scene::new(size, maker.any(&["25", "30", "30000/1001"]), length_s);
    let in_fragments = headers.contains(&"mehd");
    let flags =
        if in_fragments { "-movflags +frag_keyframe+default_base_moof -frag_duration 1000000" } else { "" };
    let (codec, container) = maker.any(&[
        ("libx264 -preset ultrafast -pix_fmt yuv420p -g 50", "mp4"),
        ("libx264 -preset veryfast -pix_fmt yuv420p -bf 2", "mov"),
        ("mpeg4 -q:v 3", "mp4"),
    ]);
    let good = maker.ffmpeg(
        &format!("{} -c:v {codec} -c:a aac {flags} -shortest", scene.inputs()),
        &format!("good.{container}"),
    );
    let mut bytes = std::fs::read(good).unwrap();
    let tracks: &[&[u8; 4]] =
        if index < HOW.len() { &[b"vide", b"soun"] } else { maker.any(&[&[b"vide"], &[b"soun"]]) };
    let ticks = |scale: f64| match wrong {
        Wrong::MovieTicks => (length_s * 1000.0) as u32,
        Wrong::Zero => 0,
        Wrong::Unknown => u32::MAX,
        Wrong::Long => (length_s * scale * 15.0) as u32,
        Wrong::Short => (length_s * scale / 15.0) as u32,
    };
    let movie = find(&bytes, &[b"moov", b"mvhd"])[0].clone();
    for header in headers {
        match *header {
            "mvhd" => set_duration(&mut bytes, &movie, ticks(1000.0)),
            "mehd" => {
                let range = find(&bytes, &[b"moov", b"mvex", b"mehd"]);
                if let Some(range) = range.first() {
                    set_duration(&mut bytes, range, ticks(1000.0));
                } else {
                    // ffmpeg writes none: the movie's own header says it instead.
                    set_duration(&mut bytes, &movie, ticks(1000.0));
                }
            }
            other => {
                for handler in tracks {
                    let track = track(&bytes, handler);
                    let path: &[&[u8; 4]] = if other == "tkhd" { &[b"tkhd"] } else { &[b"mdia", b"mdhd"] };
                    let scale = if other == "tkhd" { 1000.0 } else { f64::from(timescale(&bytes, handler)) };
                    let range = below(&bytes, &track, path).expect("a header");
                    set_duration(&mut bytes, &range, ticks(scale));
                }
            }
        }
    }
    let how = format!("good.{container} with {headers:?} {wrong:?} in {} tracks", tracks.len());
    let file = maker.write(&format!("headers.{container}"), &bytes, &how);
    Variant { file, truth: scene.truth() }
}
