//! Writes the index object and the media playlist of one track. The layout of the object is in
//! docs/ref/objects.md.

use std::fs::File;
use std::io::{BufWriter, Seek, Write};

use chalkstream_formats::source_index::{IndexWriter, MAX_RECORD_BYTES, RUN_BYTES, Run, SegmentRecord};
use chalkstream_formats::{Coding, NalFraming};

use super::plan::SegmentPlan;
use super::stop::Stop;
use crate::context::StepContext;
use crate::declined::{DeclineReason, cut_off, declined};
use crate::fmp4::{SampleInfo, Track, TrackMedia, decode_times, fragment_header, init_segment};
use crate::hls::{MediaPlaylist, PlaylistSegment, media_playlist, peak_and_mean_bps};
use crate::mp4::sample_tables::{Sample, SampleTables};

/// Most bytes of the source that one segment may span: what a server reads for one response.
const MAX_SPAN_BYTES: u64 = 64 << 20;
/// Least bytes that a sample takes in a segment's record.
const MIN_SAMPLE_RECORD_BYTES: u64 = 4;

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
    /// Returns the sum of the segments' durations, in ms.
    pub fn duration_ms(&self) -> u64 {
        let ticks: u64 = self.durations.iter().sum();
        (u128::from(ticks) * 1000 / u128::from(self.timescale.max(1))) as u64
    }
}

/// One segment, while its samples are collected.
#[derive(Default)]
struct SegmentBuilder {
    /// Size of each sample, and whether decoding can start there.
    samples: Vec<(u32, bool)>,
    /// Presentation time of each, in ticks.
    presented: Vec<u64>,
    runs: Vec<Run>,
    source_offset: u64,
    source_end: u64,
    payload_bytes: u64,
}

impl SegmentBuilder {
    fn add(&mut self, sample: Sample, presented: u64) -> Result<(), DeclineReason> {
        let (offset, size) = (sample.offset, u64::from(sample.size));
        let scattered = || {
            declined(
                "scattered",
                "The recording's parts lie too far from each other in the file to be played.",
            )
        };
        if self.samples.len() as u64 * MIN_SAMPLE_RECORD_BYTES > MAX_RECORD_BYTES {
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
        self.payload_bytes += size;
        match self.runs.last_mut() {
            Some(run) if skip == 0 => run.take += sample.size,
            _ => self.runs.push(Run::new(skip as u32, sample.size)),
        }
        self.samples.push((sample.size, sample.sync));
        self.presented.push(presented);
        Ok(())
    }

    /// Returns the `moof` of a segment that ends at `end`. `None` if its times are impossible.
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

/// Writes the index object of a track. `path` is relative to the step's folder.
pub fn write_index(
    path: &str,
    track: &Track,
    plan: &SegmentPlan,
    tables: &SampleTables<'_>,
    source_bytes: u64,
    ctx: &StepContext,
) -> Result<WrittenTrack, Stop> {
    let full = ctx.create_path(path)?;
    let out = BufWriter::new(File::create(&full)?);
    // The header's size is known before its contents: the writer leaves room and fills it last.
    let out = IndexWriter::new(out, init_segment(track), plan.cuts.len() as u32)?;
    let mut writer = TrackWriter { out, segments: Vec::new(), source_bytes };
    if let Err(stop) = writer.write_segments(plan, tables, ctx) {
        drop(writer);
        std::fs::remove_file(&full)?;
        return Err(stop);
    }
    let TrackWriter { out, segments, .. } = writer;
    drop(out.finish(plan.timescale, source_bytes, framing(&track.media))?);
    ctx.announce_output(path)?;
    let bandwidth_bps = peak_and_mean_bps(plan.timescale, segments.iter().copied());
    let durations = segments.into_iter().map(|(ticks, _)| ticks).collect();
    Ok(WrittenTrack { durations, bandwidth_bps, timescale: plan.timescale })
}

/// Returns how video samples are divided into NAL units: a server needs that to scrub metadata
/// between the slices.
fn framing(media: &TrackMedia) -> Option<NalFraming> {
    let (coding, config, at) = match media {
        TrackMedia::Avc { config, .. } | TrackMedia::CameraAvc { config, .. } => (Coding::Avc, config, 4),
        TrackMedia::CameraHevc { config, .. } => (Coding::Hevc, config, 21),
        _ => return None,
    };
    let length_bytes = config.get(at).map_or(0, |byte| u32::from(byte & 3) + 1);
    Some(NalFraming { coding, length_bytes })
}

struct TrackWriter<W> {
    out: IndexWriter<W>,
    /// Ticks and bytes of each segment.
    segments: Vec<(u64, u64)>,
    source_bytes: u64,
}

impl<W: Write + Seek> TrackWriter<W> {
    fn write_segments(
        &mut self,
        plan: &SegmentPlan,
        tables: &SampleTables<'_>,
        ctx: &StepContext,
    ) -> Result<(), Stop> {
        let from = plan.cuts[0].number;
        let mut cuts = plan.cuts.iter().peekable();
        let mut segment = SegmentBuilder::default();
        let mut start = 0;
        for sample in tables.samples().take(plan.until as usize).skip(from as usize) {
            if let Some(cut) = cuts.next_if(|cut| cut.number == sample.number) {
                if cut.number != from {
                    self.write_segment(&segment, start, cut.start)?;
                    ctx.check_cancelled()?;
                }
                segment = SegmentBuilder::default();
                start = cut.start;
            }
            segment.add(sample, plan.time(&sample))?;
        }
        // If the tables end early, a segment would have no samples.
        if cuts.next().is_some() || segment.samples.is_empty() {
            return Err(damaged().into());
        }
        self.write_segment(&segment, start, plan.end)
    }

    fn write_segment(&mut self, segment: &SegmentBuilder, start: u64, end: u64) -> Result<(), Stop> {
        if segment.source_end > self.source_bytes {
            return Err(cut_off().into());
        }
        let number = self.segments.len() as u32 + 1;
        let moof = segment.moof(number, end).ok_or_else(damaged)?;
        let record_bytes = (moof.len() + segment.runs.len() * RUN_BYTES) as u64;
        let duration = u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX);
        if record_bytes > MAX_RECORD_BYTES || duration == 0 {
            return Err(damaged().into());
        }
        let (source_offset, runs) = (segment.source_offset, &segment.runs);
        self.out.add(&SegmentRecord { start, duration, source_offset, runs, moof: &moof })?;
        self.segments.push((u64::from(duration), moof.len() as u64 + segment.payload_bytes));
        Ok(())
    }
}

fn damaged() -> DeclineReason {
    declined("damaged_index", "The recording's index is damaged.")
}

/// Writes the media playlist of a track. Video and audio share `target_duration_s`.
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
