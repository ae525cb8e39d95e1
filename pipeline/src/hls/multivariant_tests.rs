#![allow(clippy::unwrap_used)]

use super::*;
use crate::media::{Hdr, Rational};
use crate::report::{AudioRenditionReport, VideoRenditionReport};
use crate::steps::audio::AudioReport;

fn rendition(name: &str, size: (u32, u32), rate: (u32, u32), bps: (u64, u64)) -> VideoRenditionReport {
    VideoRenditionReport {
        name: name.to_owned(),
        width: size.0,
        height: size.1,
        frame_rate: Rational::new(rate.0, rate.1),
        codecs: "avc1.4d400d".to_owned(),
        bandwidth_bps: bps.0,
        average_bandwidth_bps: bps.1,
        playlist: format!("video/{name}/index.m3u8"),
        segments: 2,
        duration_ms: 6400,
    }
}

/// The weak line's rendition, a larger one, and the keyframes of the first.
fn video() -> [VideoRenditionReport; 3] {
    [
        rendition("v360", (640, 360), (30_000, 1001), (500_000, 450_000)),
        rendition("v240", (426, 240), (15_000, 1001), (120_000, 105_000)),
        rendition("v240", (426, 240), (5, 8), (30_000, 20_000)),
    ]
}

fn audio(language: Option<&str>) -> AudioReport {
    let rendition = |name: &str, channels, peak, mean| AudioRenditionReport {
        name: name.to_owned(),
        channels,
        codecs: "mp4a.40.2".to_owned(),
        bandwidth_bps: peak,
        average_bandwidth_bps: mean,
        playlist: format!("audio/{name}/index.m3u8"),
        segments: 2,
        duration_ms: 6400,
    };
    AudioReport {
        loudness_lufs: Some(-23.0),
        speech_lufs: None,
        speech_share: 0.0,
        true_peak_dbtp: -3.0,
        gain_db: 5.0,
        renditions: vec![rendition("a32", 1, 34_000, 33_000), rendition("a96", 2, 99_000, 97_000)],
        language: language.map(str::to_owned),
        speech: vec!["work/speech.wav.001".to_owned()],
        duration_ms: 6400,
        warnings: Vec::new(),
    }
}

fn text(video: Option<&[VideoRenditionReport; 3]>, audio: Option<&AudioReport>, captions: &[&str]) -> String {
    let entry = |report, folder: &str, tier| VideoEntry {
        report,
        uri: format!("../{folder}/9/{}/index.m3u8", report.name),
        tier,
        hdr: None,
    };
    let audio_entry = |report| AudioEntry { report, uri: format!("../audio/8/{}/index.m3u8", report.name) };
    let text = multivariant(&Multivariant {
        videos: video.map_or_else(Vec::new, |[full, weak, _]| {
            vec![entry(full, "video", Tier::Full), entry(weak, "video", Tier::WeakLine)]
        }),
        audio: audio.map_or_else(Vec::new, |audio| audio.renditions.iter().map(audio_entry).collect()),
        language: audio.and_then(|audio| audio.language.as_deref()),
        subtitles: captions
            .iter()
            .map(|language| SubtitlesEntry { language, uri: format!("../subtitles/7/{language}/index.m3u8") })
            .collect(),
        iframes: video
            .map_or_else(Vec::new, |[_, _, keyframes]| vec![entry(keyframes, "iframes", Tier::Full)]),
        is_live: false,
    });
    let parsed = m3u8_rs::parse_master_playlist_res(text.as_bytes()).unwrap();
    assert!(!parsed.variants.is_empty());
    text
}

#[test]
fn a_lesson_with_everything() {
    assert_eq!(
        text(Some(&video()), Some(&audio(Some("en"))), &["en"]),
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a32",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="1",URI="../audio/8/a32/index.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a96",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="../audio/8/a96/index.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",LANGUAGE="en",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="../subtitles/7/en/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=154000,AVERAGE-BANDWIDTH=138000,CODECS="avc1.4d400d,mp4a.40.2",RESOLUTION=426x240,FRAME-RATE=14.985,AUDIO="a32",SUBTITLES="subs",CLOSED-CAPTIONS=NONE
../video/9/v240/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=599000,AVERAGE-BANDWIDTH=547000,CODECS="avc1.4d400d,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO="a96",SUBTITLES="subs",CLOSED-CAPTIONS=NONE
../video/9/v360/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=34000,AVERAGE-BANDWIDTH=33000,CODECS="mp4a.40.2",AUDIO="a32",SUBTITLES="subs"
../audio/8/a32/index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=30000,AVERAGE-BANDWIDTH=20000,CODECS="avc1.4d400d",RESOLUTION=426x240,URI="../iframes/9/v240/index.m3u8"
"#
    );
}

#[test]
fn video_alone_names_no_audio() {
    let text = text(Some(&video()), None, &[]);
    assert!(!text.contains("mp4a") && !text.contains("AUDIO"));
    assert!(
        text.contains("BANDWIDTH=120000,AVERAGE-BANDWIDTH=105000,CODECS=\"avc1.4d400d\",RESOLUTION=426x240")
    );
}

#[test]
fn audio_alone_has_both_renditions_and_no_video() {
    let text = text(None, Some(&audio(None)), &[]);
    assert_eq!(
        text.lines().skip(5).collect::<Vec<_>>(),
        [
            "#EXT-X-STREAM-INF:BANDWIDTH=34000,AVERAGE-BANDWIDTH=33000,CODECS=\"mp4a.40.2\",AUDIO=\"a32\"",
            "../audio/8/a32/index.m3u8",
            "#EXT-X-STREAM-INF:BANDWIDTH=99000,AVERAGE-BANDWIDTH=97000,CODECS=\"mp4a.40.2\",AUDIO=\"a96\"",
            "../audio/8/a96/index.m3u8",
        ]
    );
    assert!(text.contains("NAME=\"Original\",LANGUAGE=\"und\""));
}

#[test]
fn a_hostile_language_cannot_break_out_of_its_attribute() {
    let text = text(Some(&video()), Some(&audio(Some("en\"\n#EXT-X-ENDLIST"))), &[]);
    assert!(text.contains("LANGUAGE=\"und\"") && !text.contains("ENDLIST"));
}

#[test]
fn stills_have_the_small_audio_and_come_after_the_weak_line() {
    let reports =
        [rendition("stills", (320, 180), (5, 16), (28_000, 20_000)), video()[1].clone(), video()[0].clone()];
    let tiers = [Tier::Stills, Tier::WeakLine, Tier::Full];
    let entry = reports.iter().zip(tiers);
    let audio = audio(None);
    let audio_entry = audio.renditions.iter().map(|report| AudioEntry { report, uri: report.name.clone() });
    let text = multivariant(&Multivariant {
        videos: entry
            .map(|(report, tier)| VideoEntry { report, uri: report.name.clone(), tier, hdr: None })
            .collect(),
        audio: audio_entry.collect(),
        is_live: true,
        ..Multivariant::default()
    });
    assert!(text.contains("#EXT-X-START:TIME-OFFSET=0\n"), "{text}");
    let uris: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(uris, ["v240", "stills", "v360", "a32"]);
    let stills = text.lines().find(|line| line.contains("RESOLUTION=320x180")).unwrap();
    assert!(
        stills.contains("BANDWIDTH=62000,") && stills.contains("FRAME-RATE=0.312,AUDIO=\"a32\""),
        "{stills}"
    );
}

#[test]
fn video_that_players_choose_by_its_range_declares_it() {
    let report = rendition("hevc", (1920, 1080), (30, 1), (9_000_000, 8_000_000));
    for (hdr, range) in [(Hdr::None, "SDR"), (Hdr::Pq, "PQ"), (Hdr::Hlg, "HLG")] {
        let entry = VideoEntry { report: &report, uri: "v".to_owned(), tier: Tier::Full, hdr: Some(hdr) };
        let text = multivariant(&Multivariant { videos: vec![entry], ..Multivariant::default() });
        assert!(
            text.contains(&format!(",FRAME-RATE=30.000,VIDEO-RANGE={range},CLOSED-CAPTIONS=NONE")),
            "{text}"
        );
    }
}
