//! Fragmented MP4: init segments and fragments, written by hand.
