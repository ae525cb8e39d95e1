//! The transcript by its meaning: a vector for each passage of about half a minute, in
//! `passages.bin`.

use std::path::Path;

use chalkstream_meaning::{EmbeddedPassage, Model, Vector, split_cues, write_passages};

use super::cues::Cue;
use crate::context::StepContext;
use crate::error::Result;

/// Path of the file in the step's folder.
const PATH: &str = "transcript/passages.bin";

/// Writes the passages of the finished cues; returns the file's path. `None` without cues, or
/// without a model that can be read: a transcript is worth having without passages.
pub fn write(model: &Path, cues: &[Cue], uses_spaces: bool, ctx: &StepContext) -> Result<Option<String>> {
    if cues.is_empty() {
        return Ok(None);
    }
    let Ok(model) = Model::open(model) else { return Ok(None) };
    let mut passages = Vec::new();
    for range in split_cues(cues, |cue| (cue.start_ms, cue.end_ms)) {
        ctx.check_cancelled()?;
        let cues = &cues[range];
        let texts: Vec<_> = cues.iter().map(|cue| cue.text.as_str()).collect();
        let Ok(embedding) = model.embed(&texts.join(if uses_spaces { " " } else { "" })) else {
            return Ok(None);
        };
        let ms = |ms| u32::try_from(ms).unwrap_or(u32::MAX);
        let (start_ms, end_ms) = (ms(cues[0].start_ms), ms(cues[cues.len() - 1].end_ms));
        passages.push(EmbeddedPassage { start_ms, end_ms, vector: Vector::new(&embedding) });
    }
    ctx.write_output(PATH, &write_passages(&passages))?;
    Ok(Some(PATH.into()))
}
