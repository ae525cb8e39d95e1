//! The index object and the media playlist of one track. The object's layout is told in docs/ref/objects.md.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::plan::SegmentPlan;
use super::stop::Stop;
use crate::context::StepContext;
use crate::declined::{DeclineReason, cut_off, declined};
use crate::fmp4::{Media, SampleInfo, Track, decode_times, fragment_header, init_segment};
use crate::hls::{MediaPlaylist, PlaylistSegment, media_playlist, peak_and_mean_bps};
use crate::mp4::sample_tables::{Sample, SampleTables};

/// First bytes of an index object.
pub const MAGIC: &[u8; 8] = b"chalkidx";
/// Version of its layout.
pub const VERSION: u32 = 2;
/// Bytes before the init segment.
pub const HEADER_BYTES: usize = 40;
/// Bytes of a segment in the table.
pub const ENTRY_BYTES: usize = 48;
/// Most bytes of the source that a segment lies among: what a server reads for one answer.
const MAX_SPAN_BYTES: u64 = 64 << 20;
/// Most bytes of a segment's record, runs and `moof`: what a server holds for one answer.
const LARGEST_RECORD: usize = 1 << 20;

/// A track as it was written.
#[derive(Debug)]
pub struct WrittenTrack {
    /// Length of each segment, in ticks.
    pub durations: Vec<u64>,
    /// Peak over one segment and mean, in bits per second.
    pub bandwidth_bps: (u64, u64),
    /// Ticks per second.
    pub timescale: u32,
}

impl WrittenTrack {
    /// Length of all, in ms.
    pub fn duration_ms(&self) -> u64 {
        let ticks: u64 = self.durations.iter().sum();
        (u128::from(ticks) * 1000 / u128::from(self.timescale.max(1))) as u64
    }
}

/// One segment, while its samples are gathered.
#[derive(Default)]
struct Segment {
    /// Bytes of each sample, and whether decoding can start there.
    samples: Vec<(u32, bool)>,
    /// When each is shown, in ticks.
    presented: Vec<u64>,
    /// Bytes to pass over, and bytes to take.
    runs: Vec<(u32, u32)>,
    source_offset: u64,
    source_end: u64,
    payload: u64,
}

impl Segment {
    fn add(&mut self, sample: Sample, presented: u64) -> Result<(), DeclineReason> {
        let (offset, size) = (sample.offset, u64::from(sample.size));
        let scattered = || {
            declined(
                "scattered",
                "The recording's parts lie too far from each other in the file to be played.",
            )
        };
        // Each is four bytes of the record at least.
        if self.samples.len() * 4 > LARGEST_RECORD {
            return Err(damaged());
        }
        if self.samples.is_empty() {
            (self.source_offset, self.source_end) = (offset, offset);
        }
        let skip = offset.checked_sub(self.source_end).ok_or_else(scattered)?;
        self.source_end = offset.checked_add(size).ok_or_else(scattered)?;
        if self.source_end - self.source_offset > MAX_SPAN_BYTES {
            return Err(scattered());
        }
        self.payload += size;
        match self.runs.last_mut() {
            Some((_, take)) if skip == 0 => *take += sample.size,
            _ => self.runs.push((skip as u32, sample.size)),
        }
        self.samples.push((sample.size, sample.sync));
        self.presented.push(presented);
        Ok(())
    }

    /// The `moof` of a segment that ends at `end`; none where its times cannot be.
    fn moof(&self, number: u32, end: u64) -> Option<Vec<u8>> {
        let decoded = decode_times(&self.presented);
        let next = decoded.iter().skip(1).copied().chain([end]);
        let facts = self.samples.iter().zip(&self.presented).zip(decoded.iter().zip(next)).map(
            |((&(size_bytes, sync), presented), (decoded, next))| {
                Some(SampleInfo {
                    size_bytes,
                    duration: u32::try_from(next.checked_sub(*decoded)?).ok()?,
                    composition_offset: i32::try_from(presented - decoded).ok()?,
                    sync,
                })
            },
        );
        Some(fragment_header(number, *decoded.first()?, &facts.collect::<Option<Vec<_>>>()?))
    }
}

/// Writes the index object of a track and answers what it holds. `path` is relative to the step's folder.
pub fn write_index(
    path: &str,
    track: &Track,
    plan: &SegmentPlan,
    tables: &SampleTables<'_>,
    source_bytes: u64,
    ctx: &StepContext,
) -> Result<WrittenTrack, Stop> {
    let init = init_segment(track);
    let head = HEADER_BYTES + init.len() + plan.cuts.len() * ENTRY_BYTES;
    let full = ctx.create_path(path)?;
    let mut out = BufWriter::new(File::create(&full)?);
    // How long the head is is known before what it says.
    out.seek(SeekFrom::Start(head as u64))?;
    let mut writer = Writer { out, at: head as u64, entries: Vec::new(), played: Vec::new(), source_bytes };
    if let Err(stop) = writer.segments(plan, tables, ctx) {
        drop(writer);
        std::fs::remove_file(&full)?;
        return Err(stop);
    }
    let Writer { mut out, entries, played, .. } = writer;
    out.seek(SeekFrom::Start(0))?;
    out.write_all(MAGIC)?;
    for number in [VERSION, plan.timescale, plan.cuts.len() as u32, init.len() as u32] {
        out.write_all(&number.to_be_bytes())?;
    }
    out.write_all(&source_bytes.to_be_bytes())?;
    let (coding, length_bytes) = framing(&track.media);
    out.write_all(&coding.to_be_bytes())?;
    out.write_all(&length_bytes.to_be_bytes())?;
    out.write_all(&init)?;
    out.write_all(&entries)?;
    out.flush()?;
    drop(out);
    ctx.announce_output(path)?;
    let bandwidth_bps = peak_and_mean_bps(plan.timescale, played.iter().copied());
    let durations = played.into_iter().map(|(ticks, _)| ticks).collect();
    Ok(WrittenTrack { durations, bandwidth_bps, timescale: plan.timescale })
}

/// What a server must know of samples to take out of them what is no picture: how they are coded, and how many bytes tell a
/// unit's length.
fn framing(media: &Media) -> (u32, u32) {
    let length_bytes = |config: &[u8], at: usize| config.get(at).map_or(0, |byte| u32::from(byte & 3) + 1);
    match media {
        Media::Avc { config, .. } | Media::CameraAvc { config, .. } => (1, length_bytes(config, 4)),
        Media::CameraHevc { config, .. } => (2, length_bytes(config, 21)),
        _ => (0, 0),
    }
}

struct Writer {
    out: BufWriter<File>,
    at: u64,
    entries: Vec<u8>,
    /// Ticks and bytes of each segment.
    played: Vec<(u64, u64)>,
    source_bytes: u64,
}

impl Writer {
    fn segments(
        &mut self,
        plan: &SegmentPlan,
        tables: &SampleTables<'_>,
        ctx: &StepContext,
    ) -> Result<(), Stop> {
        let from = plan.cuts[0].number;
        let mut cuts = plan.cuts.iter().peekable();
        let mut segment = Segment::default();
        let mut start = 0;
        for sample in tables.samples().take(plan.until as usize).skip(from as usize) {
            if let Some(cut) = cuts.next_if(|cut| cut.number == sample.number) {
                if cut.number != from {
                    self.finish(&segment, start, cut.start)?;
                    ctx.check_cancelled()?;
                }
                segment = Segment::default();
                start = cut.start;
            }
            segment.add(sample, plan.time(&sample))?;
        }
        // Tables that ran dry would leave segments without samples.
        if cuts.next().is_some() || segment.samples.is_empty() {
            return Err(damaged().into());
        }
        self.finish(&segment, start, plan.end)
    }

    fn finish(&mut self, segment: &Segment, start: u64, end: u64) -> Result<(), Stop> {
        if segment.source_end > self.source_bytes {
            return Err(cut_off().into());
        }
        let number = self.played.len() as u32 + 1;
        let moof = segment.moof(number, end).ok_or_else(damaged)?;
        let record = moof.len() + segment.runs.len() * 8;
        let duration = u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX);
        if record > LARGEST_RECORD || duration == 0 {
            return Err(damaged().into());
        }
        let mut entry = Vec::with_capacity(ENTRY_BYTES);
        entry.extend(start.to_be_bytes());
        entry.extend(duration.to_be_bytes());
        entry.extend((segment.runs.len() as u32).to_be_bytes());
        entry.extend(self.at.to_be_bytes());
        entry.extend((moof.len() as u32).to_be_bytes());
        entry.extend((segment.payload as u32).to_be_bytes());
        entry.extend(segment.source_offset.to_be_bytes());
        entry.extend(((segment.source_end - segment.source_offset) as u32).to_be_bytes());
        entry.extend([0; 4]);
        self.entries.extend(entry);
        for (skip, take) in &segment.runs {
            self.out.write_all(&skip.to_be_bytes())?;
            self.out.write_all(&take.to_be_bytes())?;
        }
        self.out.write_all(&moof)?;
        self.at += record as u64;
        self.played.push((u64::from(duration), moof.len() as u64 + segment.payload));
        Ok(())
    }
}

fn damaged() -> DeclineReason {
    declined("damaged_index", "The recording's index is damaged.")
}

/// Writes the media playlist of a track. `target_duration_s` is that of picture and sound alike.
pub fn write_playlist(
    path: &str,
    written: &WrittenTrack,
    target_duration_s: u64,
    ctx: &StepContext,
) -> Result<(), Stop> {
    let segment = |(index, &duration_ticks): (usize, &u64)| PlaylistSegment {
        uri: format!("{:05}.m4s", index + 1),
        duration_ticks,
        byte_range: None,
    };
    let text = media_playlist(&MediaPlaylist {
        timescale: written.timescale,
        target_duration_s,
        init_uri: Some("init.mp4"),
        iframes_only: false,
        segments: &written.durations.iter().enumerate().map(segment).collect::<Vec<_>>(),
    });
    Ok(ctx.write_output(path, text.as_bytes())?)
}
