//! The init segment: what a player needs before the first fragment.

use super::boxes::{boxed, full, u16s, u32s};
use super::{Colour, Track, TrackMedia};

/// Matrix of a track or movie that is neither turned nor moved.
const IDENTITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Returns the bytes of a track's init segment (`ftyp` and `moov`).
pub fn init_segment(track: &Track) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    boxed(&mut out, b"ftyp", |out| {
        // `cmf2` is CMAF's brand for files as `fmp4` describes them: without an edit list.
        out.extend(b"iso6");
        u32s(out, &[0]);
        for brand in [b"iso6", b"cmfc", b"cmf2"] {
            out.extend(brand);
        }
    });
    boxed(&mut out, b"moov", |out| {
        full(out, b"mvhd", 0, 0, |out| {
            // No times of creation and modification. Timescale. No duration: it is in the
            // fragments.
            u32s(out, &[0, 0, 1000, 0]);
            u32s(out, &[0x1_0000]);
            u16s(out, &[0x0100, 0]);
            u32s(out, &[0, 0]);
            u32s(out, &IDENTITY);
            u32s(out, &[0; 6]);
            u32s(out, &[2]);
        });
        trak(out, track);
        boxed(out, b"mvex", |out| full(out, b"trex", 0, 0, |out| u32s(out, &[1, 1, 0, 0, 0])));
    });
    out
}

fn trak(out: &mut Vec<u8>, track: &Track) {
    let (width, height, volume) = match track.media {
        TrackMedia::Avc { width, height, .. }
        | TrackMedia::CameraAvc { width, height, .. }
        | TrackMedia::CameraHevc { width, height, .. } => (width, height, 0),
        TrackMedia::Aac { .. } => (0, 0, 0x0100),
    };
    boxed(out, b"trak", |out| {
        // Enabled, in the movie.
        full(out, b"tkhd", 0, 3, |out| {
            u32s(out, &[0, 0, 1, 0, 0, 0, 0]);
            u16s(out, &[0, 0, volume, 0]);
            u32s(out, &IDENTITY);
            u32s(out, &[u32::from(width) << 16, u32::from(height) << 16]);
        });
        boxed(out, b"mdia", |out| {
            full(out, b"mdhd", 0, 0, |out| {
                u32s(out, &[0, 0, track.timescale, 0]);
                u16s(out, &[packed_language(track.language), 0]);
            });
            let (handler, name): (&[u8; 4], &[u8]) = match track.media {
                TrackMedia::Aac { .. } => (b"soun", b"sound\0"),
                _ => (b"vide", b"picture\0"),
            };
            full(out, b"hdlr", 0, 0, |out| {
                u32s(out, &[0]);
                out.extend(handler);
                u32s(out, &[0, 0, 0]);
                out.extend(name);
            });
            boxed(out, b"minf", |out| minf(out, &track.media));
        });
    });
}

fn minf(out: &mut Vec<u8>, media: &TrackMedia) {
    match media {
        TrackMedia::Aac { .. } => full(out, b"smhd", 0, 0, |out| u16s(out, &[0; 2])),
        _ => full(out, b"vmhd", 0, 1, |out| u16s(out, &[0; 4])),
    }
    boxed(out, b"dinf", |out| {
        full(out, b"dref", 0, 0, |out| {
            u32s(out, &[1]);
            // Flag 1: the media is in the same file.
            full(out, b"url ", 0, 1, |_| {});
        });
    });
    boxed(out, b"stbl", |out| {
        full(out, b"stsd", 0, 0, |out| {
            u32s(out, &[1]);
            match media {
                TrackMedia::Avc { config, width, height } => {
                    visual(out, [b"avc1", b"avcC"], config, (*width, *height), Some(Colour::BT709));
                }
                TrackMedia::CameraAvc { config, width, height, colour } => {
                    visual(out, [b"avc1", b"avcC"], config, (*width, *height), *colour);
                }
                TrackMedia::CameraHevc { config, width, height, colour } => {
                    visual(out, [b"hvc1", b"hvcC"], config, (*width, *height), *colour);
                }
                TrackMedia::Aac { config, channels, sample_rate_hz, bitrate_bps } => {
                    mp4a(out, config, *channels, *sample_rate_hz, *bitrate_bps);
                }
            }
        });
        full(out, b"stts", 0, 0, |out| u32s(out, &[0]));
        full(out, b"stsc", 0, 0, |out| u32s(out, &[0]));
        full(out, b"stsz", 0, 0, |out| u32s(out, &[0, 0]));
        full(out, b"stco", 0, 0, |out| u32s(out, &[0]));
    });
}

/// Writes a video sample entry. `entry` is its type, `configuration` that of the configuration box.
fn visual(
    out: &mut Vec<u8>,
    [entry, configuration]: [&[u8; 4]; 2],
    config: &[u8],
    (width, height): (u16, u16),
    colour: Option<Colour>,
) {
    boxed(out, entry, |out| {
        u16s(out, &[0, 0, 0, 1]);
        u32s(out, &[0; 4]);
        u16s(out, &[width, height]);
        // 72 dots per inch, one frame per sample, no compressor name, depth of 24 bits.
        u32s(out, &[0x48_0000, 0x48_0000, 0]);
        u16s(out, &[1]);
        out.extend([0; 32]);
        u16s(out, &[0x18, 0xffff]);
        boxed(out, configuration, |out| out.extend(config));
        if let Some(colour) = colour {
            boxed(out, b"colr", |out| {
                out.extend(b"nclx");
                u16s(out, &[colour.primaries, colour.transfer, colour.matrix]);
                out.push(u8::from(colour.full_range) << 7);
            });
        }
        boxed(out, b"pasp", |out| u32s(out, &[1, 1]));
    });
}

fn mp4a(out: &mut Vec<u8>, config: &[u8], channels: u16, sample_rate_hz: u16, bitrate_bps: u32) {
    boxed(out, b"mp4a", |out| {
        u16s(out, &[0, 0, 0, 1]);
        u32s(out, &[0, 0]);
        u16s(out, &[channels, 16, 0, 0]);
        u32s(out, &[u32::from(sample_rate_hz) << 16]);
        full(out, b"esds", 0, 0, |out| {
            // ISO/IEC 14496-1, 7.2.6: an ES descriptor around the decoder's configuration.
            descriptor(out, 0x03, |out| {
                u16s(out, &[1]);
                out.push(0);
                descriptor(out, 0x04, |out| {
                    // MPEG-4 audio, an audio stream, no buffer size.
                    out.extend([0x40, 0x15, 0, 0, 0]);
                    u32s(out, &[bitrate_bps, bitrate_bps]);
                    descriptor(out, 0x05, |out| out.extend(config));
                });
                descriptor(out, 0x06, |out| out.push(2));
            });
        });
    });
}

/// Writes a descriptor with its length in one byte. All are far below 128 bytes.
fn descriptor(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend([tag, 0]);
    let start = out.len();
    body(out);
    let size = out.len() - start;
    debug_assert!(size < 128);
    out[start - 1] = size as u8;
}

/// Packs a language code: three letters of five bits each, counted from 0x60.
fn packed_language(language: Option<[u8; 3]>) -> u16 {
    language
        .filter(|l| l.iter().all(u8::is_ascii_lowercase))
        .unwrap_or(*b"und")
        .iter()
        .fold(0, |packed, letter| packed << 5 | u16::from(letter - 0x60))
}
