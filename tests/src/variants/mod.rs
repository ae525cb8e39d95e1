//! New recordings of every kind that went wrong once, each with its truth: made by ffmpeg and by
//! patching bytes, other ones for every seed.

mod avi;
mod changing;
mod codecs;
mod containers;
mod ebml;
mod edits;
mod first;
mod fragments;
mod headers;
mod joined;
mod maker;
mod mp4;
mod refusals;
mod rotation;
mod scene;
mod slow;
mod stamps;
mod unclosed;
mod voice;

use std::path::{Path, PathBuf};

pub use maker::Maker;

use crate::judge::{self, Row};
use crate::truth::Truth;

/// A recording that was made, and what has to become of it.
pub struct Made {
    /// The file.
    pub file: PathBuf,
    /// What is known of it.
    pub truth: Truth,
}

/// A kind of recording. `make` makes the `index`th one: the first ten differ in what matters,
/// chance does the rest.
pub struct Kind {
    /// Name, as on the command line.
    pub name: &'static str,
    /// Makes one.
    pub make: fn(&mut Maker, usize) -> Made,
}

/// All kinds.
pub const KINDS: [Kind; 19] = [
    Kind { name: "slow", make: slow::make },
    Kind { name: "headers", make: headers::make },
    Kind { name: "fragments", make: fragments::make },
    Kind { name: "edits", make: edits::make },
    Kind { name: "avi", make: avi::make },
    Kind { name: "first", make: first::make },
    Kind { name: "growing", make: changing::growing },
    Kind { name: "turning", make: changing::turning },
    Kind { name: "rotation", make: rotation::make },
    Kind { name: "codecs", make: codecs::make },
    Kind { name: "track", make: voice::track },
    Kind { name: "sides", make: voice::sides },
    Kind { name: "bang", make: voice::bang },
    Kind { name: "jitter", make: stamps::jitter },
    Kind { name: "drift", make: stamps::drift },
    Kind { name: "joined", make: joined::make },
    Kind { name: "unclosed", make: unclosed::make },
    Kind { name: "containers", make: containers::make },
    Kind { name: "refusals", make: refusals::make },
];

/// Makes the `index`th variant of a kind in `folder` and judges it. The second answer is how it was
/// made.
pub fn judge(kind: &Kind, index: usize, seed: u64, folder: &Path) -> (Row, Vec<String>) {
    let mut maker = Maker::new(folder, kind.name, index, seed);
    let made = (kind.make)(&mut maker, index);
    let mut row = judge::judge_by(&made.file, folder, None, Some(&made.truth));
    row.name = format!("{}-{index:02} {}", kind.name, row.name);
    (row, maker.steps)
}
