//! The checker of Apple's rules passes a good presentation and fails on each fixture that breaks
//! one rule.

use chalkstream_tests::apple::{Delivered, Fact, Media, Presentation, broken};

const MASTER: &str = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a32\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"1\",URI=\"a32.m3u8\"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI=\"subs.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=140000,AVERAGE-BANDWIDTH=132000,CODECS=\"avc1.4d400d,mp4a.40.2\",RESOLUTION=426x240,FRAME-RATE=15.000,AUDIO=\"a32\",SUBTITLES=\"subs\",CLOSED-CAPTIONS=NONE
v240.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=40000,AVERAGE-BANDWIDTH=32000,CODECS=\"mp4a.40.2\",AUDIO=\"a32\",SUBTITLES=\"subs\"
a32.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=50000,AVERAGE-BANDWIDTH=50000,CODECS=\"avc1.4d400d\",RESOLUTION=426x240,URI=\"i240.m3u8\"
";

/// Three segments of `bits` a second: 3.2 s, 3.2 s and 1.6 s.
fn rendition(bits: [u64; 3], frame_s: f64, init: bool) -> Media {
    let lengths = [3.2, 3.2, 1.6];
    let mut text =
        String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    if init {
        text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
    }
    for (index, length) in lengths.iter().enumerate() {
        text.push_str(&format!("#EXTINF:{length:.6},\n{index}.m4s\n"));
    }
    text.push_str("#EXT-X-ENDLIST\n");
    let facts = lengths
        .iter()
        .zip(bits)
        .map(|(&duration_s, bits)| Fact {
            size_bytes: (bits as f64 * duration_s / 8.0) as u64,
            duration_s,
            samples: (duration_s / frame_s) as u32,
            keyframe: true,
        })
        .collect();
    let delivered = Some(Delivered { redirected: false, compressed: true });
    Media { text, facts, frame_s, captions: Vec::new(), delivered }
}

fn good() -> Presentation {
    let mut iframes = rendition([50_000; 3], 1.0 / 15.0, true);
    iframes.text = iframes.text.replace("#EXT-X-MAP", "#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP");
    iframes.facts.iter_mut().for_each(|fact| (fact.samples, fact.duration_s) = (1, 1.0 / 15.0));
    let mut captions = rendition([0; 3], 0.0, false);
    captions.facts.clear();
    captions.captions =
        ["00:00.500 --> 00:03.000", "00:03.000 --> 00:06.000", "00:00:06.500 --> 00:00:07.900"]
            .map(|cue| format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n{cue}\nSo.\n"))
            .to_vec();
    let media = [
        ("v240.m3u8", rendition([110_000, 95_000, 90_000], 1.0 / 15.0, true)),
        ("a32.m3u8", rendition([32_000, 32_000, 32_000], 1024.0 / 48_000.0, true)),
        ("i240.m3u8", iframes),
        ("subs.m3u8", captions),
    ];
    let media = media.into_iter().map(|(uri, media)| (uri.to_owned(), media)).collect();
    let delivered = Some(Delivered { redirected: false, compressed: true });
    Presentation { master: MASTER.replace("BANDWIDTH=40000", "BANDWIDTH=32000"), media, delivered }
}

fn rules(presentation: &Presentation) -> Vec<&'static str> {
    let mut found: Vec<_> = broken(presentation).iter().map(|broken| broken.rule).collect();
    found.dedup();
    found
}

#[test]
fn a_good_presentation_holds_every_rule() {
    assert_eq!(broken(&good()), []);
}

#[test]
fn each_rule_is_found_where_it_alone_is_broken() {
    /// Changes one thing.
    type Break = fn(&mut Presentation);
    fn master(p: &mut Presentation, from: &str, to: &str) {
        assert!(p.master.contains(from), "the fixture changes nothing: {from}");
        p.master = p.master.replacen(from, to, 1);
    }
    fn text(p: &mut Presentation, uri: &str, from: &str, to: &str) {
        let media = p.media.get_mut(uri).unwrap();
        assert!(media.text.contains(from), "the fixture changes nothing: {from}");
        media.text = media.text.replacen(from, to, 1);
    }
    fn captions(p: &mut Presentation) -> &mut Vec<String> {
        &mut p.media.get_mut("subs.m3u8").unwrap().captions
    }
    let fixtures: &[(&str, &str, Break)] = &[
        ("1.26", "a mean that is a fifth too low", |p| {
            master(p, "AVERAGE-BANDWIDTH=132000", "AVERAGE-BANDWIDTH=105000");
        }),
        ("1.27", "a peak that is said much too high", |p| master(p, "BANDWIDTH=140000", "BANDWIDTH=190000")),
        ("1.27", "no peak", |p| master(p, "BANDWIDTH=140000,", "")),
        ("9.15", "no mean", |p| master(p, "AVERAGE-BANDWIDTH=132000,", "")),
        ("5.2", "captions that are no WebVTT", |p| {
            captions(p)[0] = "1\n00:00:00,500 --> 00:00:03,000\nSo.\n".into()
        }),
        ("5.3", "captions without their place in time", |p| captions(p)[1] = "WEBVTT\n\n".into()),
        ("5.4", "captions of several times", |p| {
            captions(p)[1] = captions(p)[1].replace("MPEGTS:0", "MPEGTS:900000");
        }),
        ("5.4", "a cue in another segment than its time", |p| {
            captions(p)[0].push_str("\n00:05.000 --> 00:06.000\nSo.\n");
        }),
        ("5.5", "captions that end early", |p| {
            text(p, "subs.m3u8", "#EXTINF:1.600000,\n2.m4s\n", "");
            captions(p).pop();
        }),
        ("6.1", "no I-frame playlist", |p| {
            let at = p.master.find("#EXT-X-I-FRAME").unwrap();
            p.master.truncate(at);
        }),
        ("6.8", "I-frames without their tag", |p| text(p, "i240.m3u8", "#EXT-X-I-FRAMES-ONLY\n", "")),
        ("6.8", "an I-frame entry of two frames", |p| {
            p.media.get_mut("i240.m3u8").unwrap().facts[1].samples = 2;
        }),
        ("7.4", "a segment without a keyframe in front", |p| {
            p.media.get_mut("v240.m3u8").unwrap().facts[1].keyframe = false;
        }),
        ("7.7", "a segment above the target duration", |p| {
            text(p, "v240.m3u8", "#EXTINF:3.200000,\n0", "#EXTINF:1.800000,\n0");
            text(p, "v240.m3u8", "#EXTINF:3.200000,\n1", "#EXTINF:4.600000,\n1");
            let facts = &mut p.media.get_mut("v240.m3u8").unwrap().facts;
            facts[0] = Fact { size_bytes: 24_750, duration_s: 1.8, samples: 27, keyframe: true };
            facts[1] = Fact { size_bytes: 63_250, duration_s: 4.6, samples: 69, keyframe: true };
        }),
        ("8.1", "a length that the samples do not have", |p| {
            p.media.get_mut("v240.m3u8").unwrap().facts[2].duration_s = 1.4;
        }),
        ("8.1", "a playlist that neither ends nor grows", |p| {
            text(p, "v240.m3u8", "#EXT-X-ENDLIST\n", "");
            text(p, "v240.m3u8", "#EXT-X-PLAYLIST-TYPE:VOD\n", "");
        }),
        ("8.2", "another target duration for the audio", |p| {
            text(p, "a32.m3u8", "TARGETDURATION:4", "TARGETDURATION:5");
        }),
        ("8.9", "a group that is not there", |p| master(p, "AUDIO=\"a32\"", "AUDIO=\"a64\"")),
        ("8.9", "audio inside the variant", |p| master(p, ",AUDIO=\"a32\",SUBTITLES=\"subs\"\na32", "\na32")),
        ("8.10", "a rendition without a language", |p| master(p, "LANGUAGE=\"en\",", "")),
        ("8.18", "a media playlist that is somewhere else", |p| {
            p.media.get_mut("v240.m3u8").unwrap().delivered.as_mut().unwrap().redirected = true;
        }),
        ("8.20", "no init segment", |p| text(p, "v240.m3u8", "#EXT-X-MAP:URI=\"init.mp4\"\n", "")),
        ("9.1", "a variant that is not there", |p| {
            p.media.remove("v240.m3u8");
        }),
        ("9.2", "no codecs", |p| master(p, "CODECS=\"mp4a.40.2\",", "")),
        ("9.3", "an I-frame variant without a size", |p| {
            master(p, "RESOLUTION=426x240,URI", "URI");
        }),
        ("9.3", "a video without a size", |p| master(p, "RESOLUTION=426x240,FRAME", "FRAME")),
        ("9.4", "a video without a frame rate", |p| master(p, ",FRAME-RATE=15.000", "")),
        ("9.12", "segments that may not stand alone", |p| master(p, "#EXT-X-INDEPENDENT-SEGMENTS\n", "")),
        ("9.21", "nothing for the weakest line", |p| {
            let media = p.media.get_mut("v240.m3u8").unwrap();
            media.facts.iter_mut().for_each(|fact| fact.size_bytes *= 3);
            master(
                p,
                "BANDWIDTH=140000,AVERAGE-BANDWIDTH=132000",
                "BANDWIDTH=362000,AVERAGE-BANDWIDTH=332000",
            );
        }),
        ("10.1", "a playlist that is sent as it is", |p| p.delivered.as_mut().unwrap().compressed = false),
    ];
    for (rule, what, change) in fixtures {
        let mut presentation = good();
        change(&mut presentation);
        assert_eq!(rules(&presentation), [*rule], "{what}: {:?}", broken(&presentation));
    }
}

#[test]
fn a_picture_that_still_grows_says_the_most_it_may_take() {
    let saying = |bits: &str| {
        let mut presentation = good();
        let v240 = presentation.media.get_mut("v240.m3u8").unwrap();
        v240.text =
            v240.text.replace("PLAYLIST-TYPE:VOD", "PLAYLIST-TYPE:EVENT").replace("#EXT-X-ENDLIST\n", "");
        presentation.master = presentation.master.replace("AVERAGE-BANDWIDTH=132000", bits);
        broken(&presentation).into_iter().map(|broken| broken.rule).collect::<Vec<_>>()
    };
    assert_eq!(saying("AVERAGE-BANDWIDTH=190000"), [""; 0]);
    assert_eq!(saying("AVERAGE-BANDWIDTH=105000"), ["1.26"]);
}

#[test]
fn a_picture_that_still_grows_needs_no_end_and_no_i_frames_yet() {
    let mut presentation = good();
    let at = presentation.master.find("#EXT-X-I-FRAME").unwrap();
    presentation.master.truncate(at);
    presentation.media.remove("i240.m3u8");
    for media in presentation.media.values_mut() {
        media.text =
            media.text.replace("PLAYLIST-TYPE:VOD", "PLAYLIST-TYPE:EVENT").replace("#EXT-X-ENDLIST\n", "");
    }
    assert_eq!(broken(&presentation), []);
}
