//! Codecs that only some demuxers know: made by ffmpeg, compared with its own decoding.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use gstreamer as gst;

use super::container_tests::{context, ffmpeg, inspected};
use crate::gst::{MultiPartDecoder, TrackKind, capsfilter, element_with};
use crate::limits::Limits;
use crate::media::MediaInfo;
use crate::source::FileSource;

/// A frame brought down to this, in pixels.
const SMALL: (i32, i32) = (64, 36);

/// The bytes of all decoded buffers of a track, converted to `caps`.
fn bytes(
    file: &Path,
    media: &MediaInfo,
    kind: TrackKind,
    mut tail: Vec<gst::Element>,
    caps: &gst::Caps,
) -> Vec<u8> {
    tail.push(capsfilter(caps).unwrap());
    let limits = Limits::default();
    let source = Arc::new(FileSource::open(file).unwrap());
    let mut sequence = MultiPartDecoder::open(source, media, kind, &limits, tail).unwrap();
    sequence.start().unwrap();
    let mut all = Vec::new();
    while let Some(decoded) = sequence.next(&context(file.parent().unwrap())).unwrap() {
        all.extend_from_slice(&decoded.buffer.map_readable().unwrap());
    }
    all
}

fn by_ffmpeg(file: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(arguments.split_whitespace())
        .arg("-")
        .output()
        .unwrap();
    output.stdout
}

/// The mean difference of the first frame from what ffmpeg makes of it, of 255.
fn frame_difference(file: &Path, media: &MediaInfo) -> f64 {
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", SMALL.0)
        .field("height", SMALL.1)
        .build();
    let scaler = element_with("videoscale", &[("add-borders", "false"), ("method", "bilinear")]).unwrap();
    let tail = vec![element_with("videoconvert", &[]).unwrap(), scaler];
    let ours = bytes(file, media, TrackKind::Video, tail, &caps);
    let filter = format!("-map 0:v -frames:v 1 -vf scale={}:{}:flags=area,format=rgb24", SMALL.0, SMALL.1);
    let theirs = by_ffmpeg(file, &format!("{filter} -f rawvideo"));
    assert!(!theirs.is_empty() && ours.len() >= theirs.len(), "{} of {}", ours.len(), theirs.len());
    let off: u64 = ours.iter().zip(&theirs).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    off as f64 / theirs.len() as f64
}

#[test]
fn video_that_a_demuxer_does_not_know_is_decoded() {
    let folder = tempfile::tempdir().unwrap();
    // A width that is no multiple of four: rows of raw video are padded or not.
    let made = "-f lavfi -i testsrc2=s=322x182:r=10:d=0.5 -f lavfi -i sine=d=0.5 -c:a pcm_s16le";
    for (codec, name) in [
        ("dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p", "dnxhr.mov"),
        ("dnxhd -profile:v dnxhr_444 -pix_fmt yuv444p10le", "dnxhr444.mov"),
        ("dnxhd -profile:v dnxhr_sq -pix_fmt yuv422p", "dnxhr.mkv"),
        ("prores", "prores.avi"),
        ("prores", "prores.mkv"),
        ("ffvhuff -pix_fmt yuv420p", "ffvhuff.avi"),
        ("ffvhuff -pix_fmt yuv420p -strict -2", "ffvhuff.mov"),
        ("huffyuv -pix_fmt yuv422p -strict -2", "huffyuv.mov"),
        ("svq1", "svq1.avi"),
        ("jpeg2000 -pix_fmt yuv420p", "jpeg2000.avi"),
        ("jpeg2000 -pix_fmt yuv420p", "jpeg2000.mkv"),
        ("tiff -pix_fmt rgb24", "tiff.mkv"),
        ("targa -strict -2", "targa.mov"),
        ("png -pix_fmt rgb48be", "png16.mov"),
        ("png -pix_fmt rgba64be", "png16a.mkv"),
        ("png -pix_fmt gray16be", "png16g.mov"),
        ("png -pix_fmt ya16be", "png16ga.avi"),
        ("mpeg1video -r 25", "mpeg1.mov"),
        ("wmv1", "wmv1.avi"),
        ("libvpx-vp9 -pix_fmt yuv420p -deadline realtime", "vp9.avi"),
        ("libx265 -x265-params log-level=none -pix_fmt yuv420p -tag:v HEVC", "hevc.avi"),
        ("rawvideo -pix_fmt yuv420p", "i420.avi"),
        ("rawvideo -pix_fmt yuv420p", "i420.mkv"),
        ("rawvideo -pix_fmt yuv422p", "y42b.mkv"),
        ("rawvideo -pix_fmt nv12", "nv12.avi"),
        ("rawvideo -pix_fmt yuyv422", "yuvs.mov"),
        ("rawvideo -pix_fmt rgb24", "rgb.mov"),
        ("rawvideo -pix_fmt bgr24", "downwards.avi"),
    ] {
        let file = ffmpeg(&format!("{made} -c:v {codec}"), &folder.path().join(name));
        let media = inspected(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        let video = media.video.as_ref().unwrap_or_else(|| panic!("{name}: {:?}", media.warnings));
        assert_eq!((video.width, video.height), (322, 182), "{name}");
        assert!(video.end_ms.abs_diff(500) < 110, "{name} ends at {} ms", video.end_ms);
        let off = frame_difference(&file, &media);
        assert!(off < 12.0, "{name}: frames differ by {off:.1}");
    }
}

#[test]
fn a_codec_without_a_decoder_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let made = "-f lavfi -i testsrc2=s=320x180:r=10:d=0.5";
    for (codec, name, label) in [
        ("utvideo -pix_fmt yuv420p", "ut.avi", "Ut Video"),
        ("utvideo -pix_fmt yuv420p", "ut.mkv", "Ut Video"),
        ("magicyuv -pix_fmt yuv420p", "magic.avi", "MagicYUV"),
        ("hap", "hap.mov", "Hap"),
        ("vc2 -pix_fmt yuv422p -strict -2", "dirac.mov", "Dirac"),
        ("v308", "v308.mov", "\"v308\""),
        // The demuxer makes no track of it.
        ("rawvideo -pix_fmt gray", "grey.mov", "\"raw\""),
    ] {
        let audio = "-f lavfi -i sine=d=0.5 -c:a pcm_s16le";
        let file = ffmpeg(&format!("{made} {audio} -c:v {codec}"), &folder.path().join(name));
        let media = inspected(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(media.video.is_none() && media.audio.is_some(), "{name}");
        let [warning] = &media.warnings[..] else { panic!("{name}: {:?}", media.warnings) };
        assert_eq!(warning.code, "unsupported_codec", "{name}");
        assert!(warning.message.starts_with(&format!("The video is in {label}, ")), "{}", warning.message);
        assert!(warning.message.contains("MP4 with H.264"), "{}", warning.message);
    }
    let alone = ffmpeg(&format!("{made} -c:v utvideo -pix_fmt yuv420p"), &folder.path().join("alone.avi"));
    let refused = inspected(&alone).unwrap_err();
    assert_eq!(refused.code, "unsupported_codec");
    assert!(refused.message.contains("Ut Video") && refused.message.contains("MP4"), "{}", refused.message);
}

#[test]
fn raw_audio_of_either_order_of_bytes_is_heard() {
    crate::gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let caps = gst::Caps::builder("audio/x-raw").field("format", "F32LE").field("channels", 1).build();
    for codec in [
        "pcm_s16le",
        "pcm_s16be",
        "pcm_s24le",
        "pcm_s24be",
        "pcm_s32le",
        "pcm_s32be",
        "pcm_f32le",
        "pcm_f32be",
        "pcm_f64le",
        "pcm_f64be",
        "pcm_u8",
        "pcm_s8",
        "pcm_alaw",
        "pcm_mulaw",
        "adpcm_ima_qt",
        "adpcm_ms",
        // At this rate the description is of QuickTime's second version.
        "pcm_f32le -ar 96000",
        "pcm_s32be -ar 96000",
    ] {
        let made = format!("-f lavfi -i sine=f=440:r=48000:d=0.5 -c:a {codec}");
        let file = ffmpeg(&made, &folder.path().join("audio.mov"));
        let media = inspected(&file).unwrap_or_else(|e| panic!("{codec}: {e}"));
        let tail = vec![element_with("audioconvert", &[]).unwrap()];
        let decoded = bytes(&file, &media, TrackKind::Audio, tail, &caps);
        let samples: Vec<f32> =
            decoded.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
        // ffmpeg's tone has an amplitude of an eighth.
        assert!((power.sqrt() - 0.0884).abs() < 0.003, "{codec}: {}", power.sqrt());
    }
}

#[test]
fn audio_of_a_blu_ray_is_heard() {
    crate::gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let caps = gst::Caps::builder("audio/x-raw").field("format", "F32LE").field("channels", 2).build();
    for depth in ["s16", "s32"] {
        let made = format!(
            "-f lavfi -i sine=f=440:r=48000:d=0.5 -c:a pcm_bluray -sample_fmt {depth} -ac 2 -mpegts_m2ts_mode 1"
        );
        let file = ffmpeg(&made, &folder.path().join("audio.m2ts"));
        let media = inspected(&file).unwrap();
        let tail = vec![element_with("audioconvert", &[]).unwrap()];
        let decoded = bytes(&file, &media, TrackKind::Audio, tail, &caps);
        let samples: Vec<f32> =
            decoded.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
        let theirs = by_ffmpeg(&file, "-f f32le");
        let theirs = theirs.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        let off = samples.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(samples.len() >= 46_000 && off < 0.001, "{depth}: {} samples, {off}", samples.len());
    }
}

#[test]
fn streams_that_the_demuxer_of_transport_streams_leaves_out_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (video, audio) = ("-f lavfi -i testsrc2=s=64x36:r=25:d=1", "-f lavfi -i sine=r=48000:d=1");
    let file = |codecs: &str| ffmpeg(&format!("{video} {audio} {codecs}"), &folder.path().join("lesson.ts"));
    for (codecs, named) in [
        ("-c:v mpeg2video -c:a flac", "The audio is in FLAC, a codec that can't be read here;"),
        ("-c:v mpeg2video -c:a dca -strict -2", "The audio is in DTS, a codec that can't be read here;"),
        ("-c:v libaom-av1 -cpu-used 8 -c:a mp2", "The video is in AV1, a codec that can't be read here;"),
        ("-c:v libvpx-vp9 -c:a mp2", "The video is in a codec that can't be read here;"),
    ] {
        let media = inspected(&file(codecs)).unwrap();
        let [warning] = &media.warnings[..] else { panic!("{codecs}: {:?}", media.warnings) };
        assert_eq!(warning.code, "unsupported_codec", "{codecs}");
        assert!(warning.message.starts_with(named), "{codecs}: {}", warning.message);
    }
    let refused = inspected(&file("-c:v libaom-av1 -cpu-used 8 -an")).unwrap_err();
    assert_eq!(refused.code, "unsupported_codec");
    assert!(refused.message.starts_with("The video is in AV1, a codec"), "{}", refused.message);
}
