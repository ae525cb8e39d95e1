//! The mel filters that turn a spectrum into bands (Slaney's scale, area-normalised).

/// Number of bins of a 400-point spectrum.
pub const BINS: usize = 201;

/// Returns the filters, band by band, for audio at 16 kHz.
///
/// They are rounded to 32 bits at the steps at which the reference rounds, so Whisper's 80 equal
/// those of the published models bit for bit.
pub fn filters(bands: usize) -> Vec<f32> {
    let edges = mel_edges(bands);
    let mut out = Vec::with_capacity(bands * BINS);
    for band in 0..bands {
        let (low, centre, high) = (edges[band], edges[band + 1], edges[band + 2]);
        let area = 2.0 / (high - low);
        for bin in 0..BINS {
            let frequency = bin as f64 * 40.0;
            let rising = (frequency - low) / (centre - low);
            let falling = (high - frequency) / (high - centre);
            let triangle = rising.min(falling).max(0.0) as f32;
            out.push((f64::from(triangle) * area) as f32);
        }
    }
    out
}

/// Edges of the bands in Hz, equally spaced in mel. Mel is linear below 1 kHz and logarithmic
/// above.
fn mel_edges(bands: usize) -> Vec<f64> {
    const LINEAR_HZ: f64 = 200.0 / 3.0;
    const KNEE_HZ: f64 = 1000.0;
    let knee = KNEE_HZ / LINEAR_HZ;
    let step = 6.4f64.ln() / 27.0;
    let top = knee + (8000.0 / KNEE_HZ).ln() / step;
    let spacing = top / (bands + 1) as f64;
    (0..bands + 2)
        .map(|i| if i == bands + 1 { top } else { i as f64 * spacing })
        .map(|mel| if mel >= knee { KNEE_HZ * (step * (mel - knee)).exp() } else { LINEAR_HZ * mel })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_band_is_a_triangle_within_the_spectrum() {
        let filters = filters(80);
        assert_eq!(filters.len(), 80 * BINS);
        for band in filters.chunks(BINS) {
            let peak = band.iter().copied().fold(0.0, f32::max);
            assert!(peak > 0.0 && peak < 0.03);
            assert!(band.iter().all(|v| *v >= 0.0));
        }
        // Published value of the first band's first bin above zero.
        assert!((filters[1] - 0.024_862_6).abs() < 1e-6, "{}", filters[1]);
    }
}
