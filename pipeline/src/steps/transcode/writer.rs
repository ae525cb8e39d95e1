//! Writes encoded frames as segments, announces each when it is complete, and writes the playlists
//! at the end.

use std::fs::File;
use std::io::{BufWriter, Write};

use super::grid::{Grid, timescale};
use crate::context::StepContext;
use crate::error::{Error, Result};
use crate::fmp4::{FragmentSample, Track, TrackMedia, decode_times, init_segment, write_fragment};
use crate::hls::{MediaPlaylist, PlaylistSegment, TARGET_DURATION_S, media_playlist, peak_and_mean_bps};
use crate::ladder::RenditionPlan;
use crate::report::VideoRenditionReport;

/// One encoded frame.
struct EncodedFrame {
    data: Vec<u8>,
    /// Number of the frame in the rendition, in presentation order.
    frame: u64,
    sync: bool,
}

/// A segment as written.
#[derive(Clone, Copy)]
struct WrittenSegment {
    ticks: u64,
    bytes: u64,
    /// Offset in its file.
    offset: u64,
    /// Number of that file in an I-frame rendition.
    part: usize,
}

/// The form in which a rendition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Segments and their playlist.
    Segments,
    /// Segments, and the keyframes once more with a playlist of their own.
    SegmentsAndIframes,
    /// An I-frame playlist only; every frame is a keyframe.
    Iframes,
}

/// Writes one rendition.
pub struct RenditionWriter {
    plan: RenditionPlan,
    grid: Grid,
    /// Full-rate frames to one of this rendition.
    step: u64,
    output: OutputKind,
    folder: String,
    timescale: u32,
    frame_ticks: u32,
    track: Option<Track>,
    pending: Vec<EncodedFrame>,
    /// Number of pending frames of a complete segment. It is written once enough follows for
    /// another.
    complete: Option<usize>,
    frames_written: u64,
    segments: Vec<WrittenSegment>,
    iframes: Option<IframeWriter>,
    ctx: StepContext,
}

impl RenditionWriter {
    /// A writer for a rendition of which each frame lasts `step` frames of the grid.
    pub fn new(
        plan: &RenditionPlan,
        grid: Grid,
        step: u64,
        output: OutputKind,
        ctx: &StepContext,
    ) -> Result<Self> {
        let (timescale, frame_ticks) = timescale(plan.frame_rate);
        let iframes = match output {
            OutputKind::Segments => None,
            OutputKind::SegmentsAndIframes | OutputKind::Iframes => Some(IframeWriter::new(&plan.name, ctx)?),
        };
        Ok(Self {
            plan: plan.clone(),
            grid,
            step,
            output,
            folder: format!("video/{}", plan.name),
            timescale,
            frame_ticks,
            track: None,
            pending: Vec::new(),
            complete: None,
            frames_written: 0,
            segments: Vec::new(),
            iframes,
            ctx: ctx.clone(),
        })
    }

    /// Sets the decoder configuration, once, before the first frame.
    pub fn configure(&mut self, config: &[u8]) -> Result<()> {
        if self.track.is_some() {
            return Ok(());
        }
        let track = Track {
            timescale: self.timescale,
            language: None,
            media: TrackMedia::Avc {
                config: config.to_vec(),
                width: self.plan.width as u16,
                height: self.plan.height as u16,
            },
        };
        let init = init_segment(&track);
        if self.output != OutputKind::Iframes {
            self.ctx.write_output(&format!("{}/init.mp4", self.folder), &init)?;
        }
        if let Some(iframes) = &self.iframes {
            self.ctx.write_output(&format!("{}/init.mp4", iframes.folder), &init)?;
        }
        self.track = Some(track);
        Ok(())
    }

    /// Adds the next frame in decode order.
    pub fn push(&mut self, data: Vec<u8>, frame: u64, sync: bool) -> Result<()> {
        let full = frame * self.step;
        if sync != self.grid.is_keyframe(full) {
            return Err(Error::internal(
                "the encoder put a keyframe where none was planned, or left one out",
            )
            .with_source(format!("frame {frame} of {}, keyframe: {sync}", self.plan.name)));
        }
        if sync {
            // A rest shorter than a keyframe interval joins the segment before it: a keyframe alone
            // takes longer than its duration on a weak line.
            if let Some(complete) = self.complete.take() {
                self.write_segment(complete)?;
            }
            if self.grid.is_segment_start(full) && !self.pending.is_empty() {
                self.complete = Some(self.pending.len());
            }
            if let Some(iframes) = &mut self.iframes {
                iframes.push(data.clone(), frame, self.frame_ticks)?;
            }
        }
        if self.output == OutputKind::Iframes {
            self.frames_written += 1;
        } else {
            self.pending.push(EncodedFrame { data, frame, sync });
        }
        Ok(())
    }

    /// Writes the last segment, after the last frame.
    pub fn flush(&mut self) -> Result<()> {
        self.complete = None;
        match self.pending.len() {
            0 => Ok(()),
            count => self.write_segment(count),
        }
    }

    /// Writes the first `count` pending frames as a segment.
    fn write_segment(&mut self, count: usize) -> Result<()> {
        let pending: Vec<EncodedFrame> = self.pending.drain(..count).collect();
        let first = self.frames_written;
        let ticks = u64::from(self.frame_ticks);
        // The frames of a segment are exactly those between its keyframe and the next segment's.
        let last = first + pending.len() as u64;
        let frames: Vec<u64> = pending.iter().map(|encoded| encoded.frame).collect();
        let mut presented = frames.clone();
        presented.sort_unstable();
        if !presented.into_iter().eq(first..last) {
            return Err(Error::internal("the encoder lost or doubled a frame"));
        }
        let times = decode_times(&frames.iter().map(|frame| frame * ticks).collect::<Vec<_>>());
        let mut samples = Vec::with_capacity(pending.len());
        for (index, encoded) in pending.iter().enumerate() {
            let next = times.get(index + 1).copied().unwrap_or(last * ticks);
            samples.push(FragmentSample {
                data: &encoded.data,
                duration: (next - times[index]) as u32,
                composition_offset: (encoded.frame * ticks - times[index]) as i32,
                sync: encoded.sync,
            });
        }
        let number = self.segments.len() as u32 + 1;
        let path = format!("{}/{number:05}.m4s", self.folder);
        let mut file = BufWriter::new(File::create(self.ctx.create_path(&path)?)?);
        let bytes = write_fragment(&mut file, number, first * ticks, &samples)?;
        file.flush()?;
        drop(file);
        self.ctx.announce_output(&path)?;
        let written = WrittenSegment { ticks: (last - first) * ticks, bytes, offset: 0, part: 0 };
        let uri = format!("{number:05}.m4s");
        self.ctx.announce_segment(
            &format!("{}/index.m3u8", self.folder),
            &uri,
            written.ticks,
            self.timescale,
        );
        self.segments.push(written);
        self.frames_written = last;
        Ok(())
    }

    /// Writes the playlists, after [`RenditionWriter::flush`]; `frames` is the expected number. The
    /// report of an I-frame rendition without another comes first.
    pub fn finish(
        mut self,
        frames: u64,
        end_ns: Option<u64>,
    ) -> Result<(VideoRenditionReport, Option<VideoRenditionReport>)> {
        if self.frames_written != frames {
            return Err(Error::internal("the encoder did not give back every frame")
                .with_source(format!("{} of {frames} frames in {}", self.frames_written, self.plan.name)));
        }
        let all = self.frames_written * u64::from(self.frame_ticks);
        let end = end_ns.map_or(all, |ns| {
            let ticks = u128::from(ns) * u128::from(self.timescale) / 1_000_000_000;
            (ticks as u64).clamp(all.saturating_sub(u64::from(self.frame_ticks)) + 1, all)
        });
        let iframes = self.iframes.take().map(|iframes| self.finish_iframes(iframes, end)).transpose()?;
        if self.output == OutputKind::Iframes {
            let report = iframes.ok_or_else(|| Error::internal("an I-frame rendition has no keyframes"))?;
            return Ok((report, None));
        }
        let playlist = format!("{}/index.m3u8", self.folder);
        let listed: Vec<_> = self
            .segments
            .iter()
            .enumerate()
            .map(|(i, s)| PlaylistSegment {
                uri: format!("{:05}.m4s", i + 1),
                duration_ticks: s.ticks,
                byte_range: None,
            })
            .collect();
        let report = self.report(playlist, &self.segments, &listed, false)?;
        Ok((report, iframes))
    }

    fn finish_iframes(&self, iframes: IframeWriter, end: u64) -> Result<VideoRenditionReport> {
        let playlist = format!("{}/index.m3u8", iframes.folder);
        let written = iframes.finish(end)?;
        let listed: Vec<_> = written
            .iter()
            .map(|s| PlaylistSegment {
                uri: part_name(s.part),
                duration_ticks: s.ticks,
                byte_range: Some((s.offset, s.bytes)),
            })
            .collect();
        self.report(playlist, &written, &listed, true)
    }

    fn report(
        &self,
        playlist: String,
        written: &[WrittenSegment],
        listed: &[PlaylistSegment],
        iframes_only: bool,
    ) -> Result<VideoRenditionReport> {
        let track =
            self.track.as_ref().ok_or_else(|| Error::internal("the encoder gave no configuration"))?;
        let text = media_playlist(&MediaPlaylist {
            timescale: self.timescale,
            target_duration_s: TARGET_DURATION_S,
            init_uri: Some("init.mp4"),
            iframes_only,
            segments: listed,
        });
        self.ctx.write_output(&playlist, text.as_bytes())?;
        let (bandwidth_bps, average_bandwidth_bps) =
            peak_and_mean_bps(self.timescale, written.iter().map(|s| (s.ticks, s.bytes)));
        let ticks: u64 = written.iter().map(|s| s.ticks).sum();
        Ok(VideoRenditionReport {
            name: self.plan.name.clone(),
            width: self.plan.width,
            height: self.plan.height,
            frame_rate: self.plan.frame_rate,
            codecs: track.codecs(),
            bandwidth_bps,
            average_bandwidth_bps,
            playlist,
            segments: written.len() as u32,
            duration_ms: (ticks * 1000 + u64::from(self.timescale) / 2) / u64::from(self.timescale),
        })
    }

    /// Returns the starts of the segments, in full-rate frames.
    pub fn starts(&self) -> Vec<u64> {
        let mut at = 0;
        let mut starts = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            starts.push(at / u64::from(self.frame_ticks) * self.step);
            at += segment.ticks;
        }
        starts
    }
}

/// Bytes after which an I-frame rendition continues in another file, so that complete files can be
/// stored.
const PART_BYTES: u64 = 4 << 20;

/// Writes an I-frame rendition: the keyframes of another, one fragment each, some minutes in a
/// file.
struct IframeWriter {
    folder: String,
    file: BufWriter<File>,
    /// Number of the current file, and bytes in it.
    part: usize,
    bytes: u64,
    pending: Option<(Vec<u8>, u64)>,
    written: Vec<WrittenSegment>,
    ctx: StepContext,
}

fn part_name(part: usize) -> String {
    format!("frames-{:03}.m4s", part + 1)
}

impl IframeWriter {
    fn new(name: &str, ctx: &StepContext) -> Result<Self> {
        let folder = format!("iframes/{name}");
        let file = Self::create(&folder, 0, ctx)?;
        Ok(Self { folder, file, part: 0, bytes: 0, pending: None, written: Vec::new(), ctx: ctx.clone() })
    }

    fn create(folder: &str, part: usize, ctx: &StepContext) -> Result<BufWriter<File>> {
        Ok(BufWriter::new(File::create(ctx.create_path(&format!("{folder}/{}", part_name(part)))?)?))
    }

    fn push(&mut self, data: Vec<u8>, frame: u64, frame_ticks: u32) -> Result<()> {
        let at = frame * u64::from(frame_ticks);
        self.close(at)?;
        self.pending = Some((data, at));
        Ok(())
    }

    /// Writes the pending keyframe, which lasts until `until`, in ticks.
    fn close(&mut self, until: u64) -> Result<()> {
        let Some((data, at)) = self.pending.take() else { return Ok(()) };
        if self.bytes >= PART_BYTES {
            self.complete()?;
            (self.part, self.bytes) = (self.part + 1, 0);
            self.file = Self::create(&self.folder, self.part, &self.ctx)?;
        }
        let ticks = until - at;
        let sample =
            FragmentSample { data: &data, duration: ticks as u32, composition_offset: 0, sync: true };
        let number = self.written.len() as u32 + 1;
        let bytes = write_fragment(&mut self.file, number, at, &[sample])?;
        self.written.push(WrittenSegment { ticks, bytes, offset: self.bytes, part: self.part });
        self.bytes += bytes;
        Ok(())
    }

    /// Announces the current file.
    fn complete(&mut self) -> Result<()> {
        self.file.flush()?;
        self.ctx.announce_output(&format!("{}/{}", self.folder, part_name(self.part)))
    }

    fn finish(mut self, end: u64) -> Result<Vec<WrittenSegment>> {
        self.close(end)?;
        self.complete()?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::context::capturing_context;

    #[test]
    fn keyframes_continue_in_another_file_and_lie_at_their_byte_ranges() {
        let folder = tempfile::tempdir().unwrap();
        let (ctx, announced) = capturing_context(folder.path());
        let mut iframes = IframeWriter::new("v240", &ctx).unwrap();
        let frame = |number: u8| vec![number; PART_BYTES as usize / 2];
        for number in 0..5 {
            iframes.push(frame(number), u64::from(number), 10).unwrap();
        }
        assert_eq!(announced.lock().unwrap().len(), 1);
        assert_eq!(announced.lock().unwrap()[0].0, "iframes/v240/frames-001.m4s");
        let written = iframes.finish(60).unwrap();
        assert_eq!(announced.lock().unwrap().len(), 3);
        assert_eq!(written.iter().map(|w| w.part).collect::<Vec<_>>(), [0, 0, 1, 1, 2]);
        assert_eq!(written.iter().map(|w| w.ticks).collect::<Vec<_>>(), [10, 10, 10, 10, 20]);
        for (number, w) in written.iter().enumerate() {
            let bytes = std::fs::read(folder.path().join("iframes/v240").join(part_name(w.part))).unwrap();
            let own = &bytes[w.offset as usize..][..w.bytes as usize];
            assert!(&own[4..8] == b"moof" && own.ends_with(&frame(number as u8)), "frame {number}");
        }
    }
}
