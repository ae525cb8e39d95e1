//! Cues to WebVTT, SRT and text, and back.
