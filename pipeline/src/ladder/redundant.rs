//! Finds the renditions of a lesson that add bits and no visible detail, from measurements. Pure.

use serde::{Deserialize, Serialize};

use crate::media::Rational;

/// A rendition shows no more than the next smaller one if the two, at one size, are nowhere further
/// apart. An encoder at good quality (x264's factor 23) changes a block more: a quantiser step of 9
/// is 39 dB.
const MIN_REDUNDANT_DB: f64 = 39.0;
/// A rendition that costs this share of the next larger one suits no line.
const MIN_SAME_COST_SHARE: f64 = 0.9;

/// Measurements of a rendition.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredRendition {
    /// Its name.
    pub name: String,
    /// Its frame rate.
    pub frame_rate: Rational,
    /// Its mean bits per second.
    pub average_bandwidth_bps: u64,
    /// Similarity to the next smaller rendition, enlarged, where they differ most, in dB; `None` if
    /// not measured.
    pub detail_db: Option<f64>,
}

/// A rendition that is not offered, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DroppedRendition {
    /// Its name.
    pub name: String,
    /// `no_detail` or `same_cost`.
    pub reason: String,
    /// Its mean bits per second.
    pub average_bandwidth_bps: u64,
    /// Similarity to the next smaller rendition where they differ most, in dB.
    pub detail_db: Option<f64>,
}

/// Returns the renditions of a ladder, largest first, that are not worth offering. The smallest
/// always is, and so is the smallest of each frame rate, because motion is visible too.
pub fn redundant_renditions(ladder: &[MeasuredRendition]) -> Vec<DroppedRendition> {
    let mut dropped = Vec::new();
    let mut kept: Vec<&MeasuredRendition> = Vec::new();
    for rendition in ladder.iter().rev() {
        let below = kept.last().filter(|below| below.frame_rate == rendition.frame_rate);
        if below.is_some() && rendition.detail_db.is_some_and(|db| db >= MIN_REDUNDANT_DB) {
            dropped.push(dropped_for(rendition, "no_detail"));
            continue;
        }
        // The one below is useless, unless it is the smallest of all.
        if let Some(below) = below
            && kept.len() > 1
            && below.average_bandwidth_bps as f64
                >= MIN_SAME_COST_SHARE * rendition.average_bandwidth_bps as f64
        {
            dropped.push(dropped_for(below, "same_cost"));
            kept.pop();
        }
        kept.push(rendition);
    }
    dropped
}

fn dropped_for(rendition: &MeasuredRendition, reason: &str) -> DroppedRendition {
    DroppedRendition {
        name: rendition.name.clone(),
        reason: reason.into(),
        average_bandwidth_bps: rendition.average_bandwidth_bps,
        detail_db: rendition.detail_db,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(ladder: &[(&str, u32, u64, f64)]) -> Vec<(String, String)> {
        let measured: Vec<MeasuredRendition> = ladder
            .iter()
            .map(|&(name, rate, bps, db)| MeasuredRendition {
                name: name.into(),
                frame_rate: Rational::new(rate, 1),
                average_bandwidth_bps: bps,
                detail_db: Some(db),
            })
            .collect();
        redundant_renditions(&measured).into_iter().map(|d| (d.name, d.reason)).collect()
    }

    #[test]
    fn a_filmed_lesson_keeps_all() {
        let all = [
            ("v1080", 30, 4000, 24.0),
            ("v480", 30, 900, 22.0),
            ("v360", 30, 400, 22.0),
            ("v240", 15, 100, 50.0),
        ];
        assert_eq!(dropped(&all), []);
    }

    #[test]
    fn an_enlarged_source_is_not_offered_above_its_detail() {
        let all = [
            ("v1080", 30, 4000, 45.0),
            ("v720", 30, 2000, 41.0),
            ("v480", 30, 900, 25.0),
            ("v240", 15, 100, 20.0),
        ];
        let expected = [("v720", "no_detail"), ("v1080", "no_detail")];
        assert_eq!(dropped(&all), expected.map(|(n, r)| (n.to_owned(), r.to_owned())));
    }

    #[test]
    fn of_two_that_cost_the_same_the_larger_stays() {
        let all = [("v480", 30, 100, 20.0), ("v360", 30, 95, 20.0), ("v240", 15, 94, 20.0)];
        assert_eq!(dropped(&all), [("v360".to_owned(), "same_cost".to_owned())]);
    }

    #[test]
    fn full_motion_and_the_smallest_always_stay() {
        assert_eq!(dropped(&[("v360", 30, 50, 60.0), ("v240", 15, 50, 60.0)]), []);
        assert_eq!(dropped(&[("v240", 15, 50, 60.0)]), []);
        // All at one rate: still video needs one rendition.
        assert_eq!(dropped(&[("v360", 10, 50, 60.0), ("v240", 10, 50, 60.0)]).len(), 1);
    }
}
