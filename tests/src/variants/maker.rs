//! Makes files: keeps the commands, so that a failure can be repeated by hand, and the chance that
//! varies them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::media::{self, Utterance, lesson};

/// Makes the files of one variant.
pub struct Maker {
    folder: PathBuf,
    dice: fastrand::Rng,
    /// The commands, a line each.
    pub steps: Vec<String>,
}

/// A part of the composed lesson's speech, cut out.
pub struct Voice {
    /// A WAV file of 48 kHz mono.
    pub file: PathBuf,
    /// Its length, in s.
    pub length_s: f64,
    /// The words and their times, in s from the file's start.
    pub said: Vec<(f64, f64, String)>,
}

impl Maker {
    /// The chance of a variant depends on its name and the seed alone.
    pub fn new(folder: &Path, kind: &str, index: usize, seed: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, index, seed).hash(&mut hasher);
        Self { folder: folder.to_owned(), dice: fastrand::Rng::with_seed(hasher.finish()), steps: Vec::new() }
    }

    /// One of some.
    pub fn any<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.dice.usize(..of.len())]
    }

    /// A number from a range.
    pub fn between(&mut self, from: f64, to: f64) -> f64 {
        from + self.dice.f64() * (to - from)
    }

    /// A file of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Has ffmpeg make a file.
    pub fn ffmpeg(&mut self, arguments: &str, name: &str) -> PathBuf {
        let file = self.path(name);
        self.steps.push(format!("ffmpeg {arguments} {name}"));
        media::ffmpeg(arguments, &file);
        file
    }

    /// Writes a file, made of others in a way that `how` says.
    pub fn write(&mut self, name: &str, bytes: &[u8], how: &str) -> PathBuf {
        let file = self.path(name);
        self.steps.push(format!("{name}: {how}"));
        std::fs::write(&file, bytes).unwrap();
        file
    }

    /// Cuts about `length_s` of speech out of the composed lesson, from the start of an utterance
    /// to the end of one.
    pub fn voice(&mut self, length_s: f64) -> Voice {
        let lesson = lesson();
        let said = &lesson.utterances;
        let start = |utterance: &Utterance| utterance.start_ms as f64 / 1000.0;
        let end = |utterance: &Utterance| utterance.end_ms as f64 / 1000.0;
        // Without long pauses: from where the words are dense.
        let starts: Vec<usize> = (0..said.len())
            .filter(|&first| {
                let last = said.iter().rposition(|one| end(one) <= start(&said[first]) + length_s);
                last.is_some_and(|last| {
                    last >= first && end(&said[last]) - start(&said[first]) > length_s * 0.6
                })
            })
            .collect();
        let first = self.any(&starts);
        let from_s = start(&said[first]) - 0.1;
        let part: Vec<&Utterance> =
            said[first..].iter().take_while(|one| end(one) <= from_s + 0.1 + length_s).collect();
        let length_s = end(part[part.len() - 1]) + 0.1 - from_s;
        let file = self.ffmpeg(
            &format!(
                "-ss {from_s:.3} -i {} -t {length_s:.3} -vn -ac 1 -ar 48000 -c:a pcm_s16le",
                lesson.file.display()
            ),
            "voice.wav",
        );
        let said =
            part.iter().map(|one| (start(one) - from_s, end(one) - from_s, one.text.clone())).collect();
        Voice { file, length_s, said }
    }
}
