//! Recordings of every shape, made here, come out as streams that outside checkers accept.

use std::path::Path;
use std::process::Command;

use chalkstream_tests::checker::check_file;
use chalkstream_tests::hostile;
use chalkstream_tests::media::{ffmpeg, lesson};
use chalkstream_tests::process::chalkstream;
use chalkstream_tests::report::{Row, warnings};
use chalkstream_tests::source_delivery::SourceDelivery;
use chalkstream_tests::stream;
use serde_json::Value;
use tempfile::TempDir;

/// Makes a recording with ffmpeg and has it judged: nothing may be wrong.
fn processed(name: &str, arguments: &str) -> Row {
    judged(name, arguments, None)
}

fn judged(name: &str, arguments: &str, served: Option<&SourceDelivery>) -> Row {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(name);
    ffmpeg(arguments, &file);
    let row = check_file(&file, folder.path(), served);
    assert!(row.wrong.is_empty(), "{name}:\n{}", row.wrong.join("\n"));
    assert!(row.refused.is_none(), "{name}: {row:?}");
    row
}

/// Output of `process` for a file, and its exit code.
fn answer(file: &Path, out: &Path) -> (Option<i32>, Value) {
    let output = Command::new(chalkstream())
        .env("CHALKSTREAM__SPEECH__ENABLED", "false")
        .args(["process", "--json", "--out"])
        .args([out, file])
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn a_phones_mp4() {
    let row = judged(
        "phone.mp4",
        "-f lavfi -i testsrc2=s=1280x720:r=30:d=8 -f lavfi -i anoisesrc=d=8:a=0.1 -c:v libx264 -preset veryfast -g 60 \
         -pix_fmt yuv420p -c:a aac -movflags +faststart",
        Some(&SourceDelivery::start()),
    );
    assert_eq!(row.source.as_deref(), Some("as it is"));
}

#[test]
fn an_h265_recording_is_served_as_it_is_too() {
    let row = judged(
        "h265.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=30:d=8 -f lavfi -i sine=d=8 -c:v libx265 -preset ultrafast -tag:v hvc1 \
         -x265-params log-level=none:keyint=60:open-gop=0:bframes=3 -pix_fmt yuv420p10le -c:a aac",
        Some(&SourceDelivery::start()),
    );
    // Its audio is the ladder's.
    assert_eq!(row.source.as_deref(), Some("as it is, audio not compared"));
}

#[test]
fn a_photo_with_a_recording_in_it_is_that_recording() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    ffmpeg("-f lavfi -i testsrc2=s=320x240:d=1 -frames:v 1", &at("still.jpg"));
    ffmpeg(
        "-f lavfi -i testsrc2=s=640x480:r=30:d=3 -f lavfi -i sine=d=3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac",
        &at("moving.mp4"),
    );
    let read = |name: &str| std::fs::read(at(name)).unwrap();
    // What one maker writes behind the recording.
    let photo = [read("still.jpg"), read("moving.mp4"), b"\0\0\x30\x0aMotionPhoto_Data".to_vec()].concat();
    std::fs::write(at("photo.jpg"), photo).unwrap();
    let made = |name: &str| {
        let out = folder.path().join(format!("{name}.out"));
        let (code, answer) = answer(&at(name), &out);
        assert_eq!(code, Some(0), "{answer}");
        let files: Vec<_> = stream::all_files(&out.join("hls"))
            .into_iter()
            .map(|file| (file.strip_prefix(&out).unwrap().to_owned(), std::fs::read(&file).unwrap()))
            .collect();
        assert!(files.len() > 10, "{files:?}");
        (answer, files)
    };
    let (photo, recording) = (made("photo.jpg"), made("moving.mp4"));
    assert!(photo.1 == recording.1, "the same stream, byte by byte");
    assert_eq!(photo.0["media"]["warnings"][0]["code"], "inside_photo", "{}", photo.0);
}

#[test]
fn full_range_in_the_colours_of_today() {
    processed(
        "full.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=30:d=4 -vf scale=out_range=full:out_color_matrix=bt709 -color_range pc \
         -colorspace bt709 -color_primaries bt709 -color_trc bt709 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
}

#[test]
fn flac_in_matroska() {
    processed(
        "flac.mkv",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=6 -f lavfi -i anoisesrc=d=6:a=0.1:r=44100 -c:v libx264 -preset ultrafast \
         -pix_fmt yuv420p -c:a flac",
    );
}

#[test]
fn a_transport_stream_whose_sound_begins_before_its_clock() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("late.ts");
    // The clock reference comes with the video.
    ffmpeg(
        "-itsoffset 0.9 -f lavfi -i testsrc2=s=640x360:r=30:d=6 -f lavfi -i anoisesrc=d=6:a=0.1 -c:v libx264 \
         -preset ultrafast -pix_fmt yuv420p -c:a aac",
        &file,
    );
    let (code, answer) = answer(&file, &folder.path().join("out"));
    assert_eq!(code, Some(0), "{answer}");
    let media = &answer["media"];
    assert_eq!(media["audio"]["start_ms"], 0, "{media}");
    // Audio of this format begins with a packet of nothing, which not everyone counts.
    assert!(media["video"]["start_ms"].as_u64().unwrap().abs_diff(900) <= 40, "{media}");
    assert!(media["audio"]["end_ms"].as_u64().unwrap().abs_diff(6000) <= 100, "{media}");
    assert!(media["warnings"].as_array().unwrap().is_empty(), "{media}");
}

#[test]
fn ntsc_in_matroska_with_opus() {
    processed(
        "ntsc.mkv",
        "-f lavfi -i testsrc2=s=640x480:r=30000/1001:d=8 -f lavfi -i sine=d=8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a libopus",
    );
}

#[test]
fn film_rate_whose_half_is_off_the_grid() {
    processed(
        "film.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=24:d=11 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
}

#[test]
fn odd_size_and_one_frame_a_second() {
    processed("slides.webm", "-f lavfi -i testsrc2=s=321x181:r=1:d=12 -c:v libvpx -b:v 200k");
}

#[test]
fn a_gif_is_a_silent_video() {
    processed("animation.gif", "-f lavfi -i testsrc2=s=320x240:r=10:d=4");
}

#[test]
fn one_keyframe_is_not_shown_for_half_a_minute() {
    let folder = TempDir::new().unwrap();
    let (file, out) = (folder.path().join("screen.mp4"), folder.path().join("out"));
    ffmpeg(
        "-f lavfi -i color=red:s=640x360:r=10:d=16 -f lavfi -i color=blue:s=640x360:r=10:d=16 -filter_complex [0][1]concat \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 9999 -sc_threshold 0",
        &file,
    );
    let (code, answer) = answer(&file, &out);
    assert_eq!(code, Some(0), "{answer}");
    let playlist =
        stream::files(&out, "m3u8").into_iter().find(|path| path.ends_with("stills/index.m3u8")).unwrap();
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(playlist)
        .args(["-vf", "scale=1:1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    let blue: Vec<bool> = decoded.stdout.chunks_exact(3).map(|pixel| pixel[2] > pixel[0]).collect();
    assert_eq!(blue, [[false; 5], [true; 5]].concat(), "{}", String::from_utf8_lossy(&decoded.stderr));
}

#[test]
fn sound_alone() {
    processed("voice.mp3", "-f lavfi -i sine=f=300:d=9 -ar 22050 -ac 1");
}

#[test]
fn sixteen_channels_without_a_place() {
    // In the first, which is one of those that the checker listens to.
    let row = processed(
        "field.mov",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=6 -f lavfi -i anoisesrc=d=6:a=0.3 -filter_complex \
         [1]aformat=channel_layouts=mono,pan=16c|c0=c0[a] -map 0 -map [a] -c:v libx264 -preset ultrafast \
         -pix_fmt yuv420p -c:a pcm_s16le",
    );
    assert!(row.av_offset_ms.iter().any(Option::is_some), "the same audio: {row:?}");
}

/// Colours of every kind, in high dynamic range: x265 writes the given facts into the stream. Real
/// images as a camera of high range would have taken them. Colours at the edge of what the small
/// gamut holds are no measure: our table and the reference clip them differently.
fn hdr(transfer: &str) -> String {
    format!(
        "-ss 98 -t 4 -i {} -an -vf scale=640:360,setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709,\
         zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt2020,zscale=t={transfer}:m=bt2020nc:r=tv:npl=203,\
         format=yuv420p10le -c:v libx265 -preset ultrafast -x265-params \
         log-level=error:crf=12:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited -tag:v hvc1",
        lesson().file.display()
    )
}

#[test]
fn hlg_becomes_what_a_reference_tone_mapping_makes_of_it() {
    let row = processed("hlg.mp4", &hdr("arib-std-b67"));
    assert_eq!(row.hdr, "hlg");
    assert!(row.similarity.unwrap().0 > 28.0, "{row:?}");
}

#[test]
fn pq_becomes_what_a_reference_tone_mapping_makes_of_it() {
    let row = processed("pq.mp4", &hdr("smpte2084"));
    assert_eq!(row.hdr, "pq");
    assert!(row.similarity.unwrap().0 > 28.0, "{row:?}");
}

#[test]
fn full_range_in_old_colours() {
    processed(
        "phone.mp4",
        "-f lavfi -i testsrc2=s=640x480:r=30:d=4 -vf scale=out_range=pc:out_color_matrix=smpte170m -pix_fmt yuvj420p \
         -color_range pc -colorspace smpte170m -c:v libx264 -preset ultrafast",
    );
}

#[test]
fn ten_bits_and_whole_chroma() {
    processed(
        "film.mkv",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=4 -pix_fmt yuv422p10le -c:v libx264 -preset ultrafast",
    );
    processed(
        "screen.mkv",
        "-f lavfi -i testsrc2=s=640x360:r=25:d=4 -pix_fmt yuv444p -c:v libx264 -preset ultrafast",
    );
}

#[test]
fn what_a_phone_says_of_itself_is_not_published() {
    let row = processed(
        "phone.mov",
        "-f lavfi -i testsrc2=s=320x240:r=25:d=4 -f lavfi -i sine=d=4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac \
         -movflags use_metadata_tags -metadata location=+12.3456-065.4321/ -metadata make=Examplephone \
         -metadata model=Example-12-Pro -metadata comment=Room-7B-with-Ms-Example",
    );
    assert!(row.wrong.is_empty());
}

#[test]
fn a_recording_that_was_cut_gives_what_is_there_and_says_so() {
    let folder = TempDir::new().unwrap();
    let complete = folder.path().join("whole.mp4");
    ffmpeg(
        "-f lavfi -i testsrc2=s=320x240:r=25:d=10 -f lavfi -i sine=d=10 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 \
         -c:a aac -movflags faststart",
        &complete,
    );
    let bytes = std::fs::read(&complete).unwrap();
    let cut = folder.path().join("cut.mp4");
    std::fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).unwrap();
    let out = folder.path().join("out");
    let (code, answer) = answer(&cut, &out);
    assert_eq!(code, Some(0), "{answer}");
    let said = warnings(&answer).join(" ");
    assert!(said.contains("ends after 0:0") && said.contains("of 0:10"), "{said}");
    let made = answer["media"]["duration_ms"].as_u64().unwrap();
    assert!((4_000..8_000).contains(&made), "{made}");
}

#[test]
fn an_index_that_was_cut_costs_only_its_last_track() {
    let folder = TempDir::new().unwrap();
    let complete = folder.path().join("whole.mp4");
    ffmpeg(
        "-f lavfi -i testsrc2=s=320x240:r=25:d=4 -f lavfi -i sine=d=4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac",
        &complete,
    );
    let bytes = std::fs::read(&complete).unwrap();
    let last = bytes.windows(4).rposition(|w| w == b"stbl").expect("a sample table");
    let cut = folder.path().join("cut.mp4");
    std::fs::write(&cut, &bytes[..last + 60]).unwrap();
    let (code, answer) = answer(&cut, &folder.path().join("out"));
    assert_eq!(code, Some(0), "{answer}");
    assert!(warnings(&answer).iter().any(|w| w.contains("cut off")), "{answer}");
    assert!(answer["media"]["video"].is_object() && answer["media"]["audio"].is_null(), "{answer}");
}

#[test]
fn the_choice_among_several_tracks_is_told() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("two.mp4");
    ffmpeg(
        "-f lavfi -i testsrc2=s=160x120:r=10:d=3 -f lavfi -i testsrc2=s=320x240:r=10:d=3 -f lavfi -i sine=d=3 \
         -f lavfi -i sine=f=900:d=3 -map 0 -map 1 -map 2 -map 3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac",
        &file,
    );
    let (code, answer) = answer(&file, &folder.path().join("out"));
    assert_eq!(code, Some(0), "{answer}");
    let (video, audio) = (&answer["media"]["video"], &answer["media"]["audio"]);
    assert_eq!(
        (video["stream_index"].as_u64(), video["chosen"]["of"].as_u64()),
        (Some(1), Some(2)),
        "{video}"
    );
    assert_eq!(video["chosen"]["why"], "It is the largest.");
    assert_eq!(audio["chosen"]["why"], "It comes first in the file.");
}

#[test]
fn playlists_and_scripts_named_as_recordings_open_no_connection() {
    let folder = TempDir::new().unwrap();
    let (ears, served) = ([hostile::listener(0)], SourceDelivery::start());
    for script in hostile::scripts(folder.path(), ears[0].local_addr().unwrap().port()) {
        let (line, wrong) = hostile::check(&script, folder.path(), &ears, &served);
        assert!(wrong.is_empty(), "{}: {line}\n{}", script.display(), wrong.join("\n"));
        assert!(line.contains("exit 3"), "{}: {line}", script.display());
    }
}
