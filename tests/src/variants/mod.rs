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
mod variant;
mod voice;

use std::path::Path;

pub use maker::Maker;
pub use variant::Variant;

use crate::checker;
use crate::report::Row;

/// A kind of recording. `make` makes the `index`th one: the first ten differ in what matters,
/// chance does the rest.
pub struct VariantKind {
    /// Name, as on the command line.
    pub name: &'static str,
    /// Makes one.
    pub make: fn(&mut Maker, usize) -> Variant,
}

/// All kinds.
pub const KINDS: [VariantKind; 19] = [
    VariantKind { name: "slow", make: slow::make },
    VariantKind { name: "headers", make: headers::make },
    VariantKind { name: "fragments", make: fragments::make },
    VariantKind { name: "edits", make: edits::make },
    VariantKind { name: "avi", make: avi::make },
    VariantKind { name: "first", make: first::make },
    VariantKind { name: "growing", make: changing::growing },
    VariantKind { name: "turning", make: changing::turning },
    VariantKind { name: "rotation", make: rotation::make },
    VariantKind { name: "codecs", make: codecs::make },
    VariantKind { name: "track", make: voice::track },
    VariantKind { name: "sides", make: voice::sides },
    VariantKind { name: "bang", make: voice::bang },
    VariantKind { name: "jitter", make: stamps::jitter },
    VariantKind { name: "drift", make: stamps::drift },
    VariantKind { name: "joined", make: joined::make },
    VariantKind { name: "unclosed", make: unclosed::make },
    VariantKind { name: "containers", make: containers::make },
    VariantKind { name: "refusals", make: refusals::make },
];

/// Makes the `index`th variant of a kind in `folder` and judges it. The second value is how it was
/// made.
pub fn check(kind: &VariantKind, index: usize, seed: u64, folder: &Path) -> (Row, Vec<String>) {
    let mut maker = Maker::new(folder, kind.name, index, seed);
    let made = (kind.make)(&mut maker, index);
    let mut row = checker::check_against(&made.file, folder, None, Some(&made.truth));
    row.name = format!("{}-{index:02} {}", kind.name, row.name);
    (row, maker.steps)
}
