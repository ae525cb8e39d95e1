//! What each kind of step takes of a machine, as it was measured: docs/design/measurements.md,
//! "What a step takes". Tenants share by the work, and a worker takes what has room on it.

use chalkstream_pipeline::media::MediaInfo;

const MIB: u64 = 1 << 20;
/// Pixels of a frame in 1080p, which most figures were measured with.
const FULL_HD_PIXELS: f64 = 1920.0 * 1080.0;
/// Frames per second of the recording they were measured with.
const FULL_HD_RATE: f64 = 30.0;

/// What a kind of step takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// CPU time of each step, in ms.
    base_ms: f64,
    /// CPU time for each second of recording, in ms.
    per_second_ms: f64,
    /// CPU time for each second of 1080p at 30 frames/s that is decoded, in ms.
    decode_ms: f64,
    /// Memory, whatever the size of a frame, in MiB.
    memory_mib: f64,
    /// Memory for each megapixel of a decoded frame, in MiB.
    decode_mib: f64,
    /// Memory for each megapixel of the largest rendition, in MiB.
    encode_mib: f64,
    /// The most that lies in the scratch folder, in MiB.
    disk_mib: u64,
    /// Cores that it keeps busy, where there are enough.
    cores: f64,
}

/// Room that one step needs while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Scratch space, in bytes.
    pub disk_bytes: u64,
    /// Cores.
    pub cores: f64,
}

impl Cost {
    /// Publishing, in the worker itself.
    pub const PUBLISH: Self = Self {
        base_ms: 50.0,
        per_second_ms: 0.0,
        decode_ms: 0.0,
        memory_mib: 4.0,
        decode_mib: 0.0,
        encode_mib: 0.0,
        disk_mib: 0,
        cores: 0.1,
    };
    /// `inspect`.
    pub const INSPECT: Self = Self {
        base_ms: 500.0,
        per_second_ms: 0.0,
        decode_ms: 0.0,
        memory_mib: 75.0,
        decode_mib: 25.0,
        encode_mib: 0.0,
        disk_mib: 1,
        cores: 1.0,
    };
    /// `package_source`.
    pub const SOURCE_RENDITION: Self = Self {
        base_ms: 100.0,
        per_second_ms: 0.06,
        decode_ms: 0.0,
        memory_mib: 64.0,
        decode_mib: 0.0,
        encode_mib: 0.0,
        disk_mib: 16,
        cores: 1.0,
    };
    /// `sound`.
    pub const AUDIO: Self = Self {
        base_ms: 200.0,
        per_second_ms: 45.0,
        decode_ms: 0.0,
        memory_mib: 90.0,
        decode_mib: 0.0,
        encode_mib: 0.0,
        disk_mib: 16,
        cores: 1.0,
    };
    /// `stills`.
    pub const STILLS: Self = Self {
        base_ms: 200.0,
        per_second_ms: 0.0,
        decode_ms: 23.0,
        memory_mib: 95.0,
        decode_mib: 15.0,
        encode_mib: 0.0,
        disk_mib: 16,
        cores: 1.0,
    };
    /// `weak_line`.
    pub const WEAK_LINE: Self = Self {
        base_ms: 200.0,
        per_second_ms: 50.0,
        decode_ms: 283.0,
        memory_mib: 105.0,
        decode_mib: 27.0,
        encode_mib: 0.0,
        disk_mib: 16,
        cores: 1.5,
    };
    /// `ladder` and `ladder_top`.
    pub const LADDER: Self = Self {
        base_ms: 200.0,
        per_second_ms: 583.0,
        decode_ms: 283.0,
        memory_mib: 105.0,
        decode_mib: 27.0,
        encode_mib: 240.0,
        disk_mib: 128,
        cores: 1.9,
    };
    /// `transcribe`, careful, with the model `base`.
    pub const TRANSCRIBE: Self = Self {
        base_ms: 500.0,
        per_second_ms: 200.0,
        decode_ms: 0.0,
        memory_mib: 420.0,
        decode_mib: 0.0,
        encode_mib: 0.0,
        disk_mib: 16,
        cores: 1.0,
    };

    /// Estimated work on a recording, in ms of one core.
    pub fn work_ms(&self, media: &MediaInfo) -> u64 {
        let rate = media
            .video
            .as_ref()
            .map_or(0.0, |video| f64::from(video.frame_rate.num) / f64::from(video.frame_rate.den.max(1)));
        let decoded = pixels(media) * rate / (FULL_HD_PIXELS * FULL_HD_RATE);
        // Renditions are no larger than 1080p.
        let made = if self.decode_ms > 0.0 { decoded.min(1.0) } else { 1.0 };
        let per_second_ms = self.decode_ms * decoded + self.per_second_ms * made;
        (self.base_ms + per_second_ms * media.duration_ms as f64 / 1_000.0).ceil() as u64
    }

    /// Room that a step needs; as for 1080p where nothing is known of the recording.
    pub fn need(&self, media: Option<&MediaInfo>) -> Need {
        let pixels = media.map_or(FULL_HD_PIXELS, pixels);
        let made = pixels.min(FULL_HD_PIXELS);
        let memory_mib = self.memory_mib + (self.decode_mib * pixels + self.encode_mib * made) / 1e6;
        Need {
            memory_bytes: (memory_mib * MIB as f64) as u64,
            disk_bytes: self.disk_mib * MIB,
            cores: self.cores,
        }
    }
}

impl Need {
    /// Room for each of two steps, whichever comes.
    pub fn max(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            disk_bytes: self.disk_bytes.max(other.disk_bytes),
            cores: self.cores.max(other.cores),
        }
    }
}

fn pixels(media: &MediaInfo) -> f64 {
    media.video.as_ref().map_or(0.0, |video| f64::from(video.width) * f64::from(video.height))
}
