//! Scripts and styles, embedded. Their address holds the hash of what they are, so a browser may keep them for ever.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// One embedded file with its compressed forms.
struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    gzip: std::borrow::Cow<'static, [u8]>,
    brotli: std::borrow::Cow<'static, [u8]>,
}

/// Files that are served below one hash.
pub(super) struct Bundle {
    /// First hex digits of the hash of all files.
    pub(super) version: String,
    assets: Vec<Asset>,
}

/// Our own scripts and style: small, and compressed when first asked for.
pub(super) static PAGE: LazyLock<Bundle> = LazyLock::new(|| {
    const FILES: [(&str, &str); 10] = [
        ("app.js", include_str!("../../assets/page/app.js")),
        ("extras.js", include_str!("../../assets/page/extras.js")),
        ("keys.js", include_str!("../../assets/page/keys.js")),
        ("search.js", include_str!("../../assets/page/search.js")),
        ("stream.js", include_str!("../../assets/page/stream.js")),
        ("style.css", include_str!("../../assets/page/style.css")),
        ("transcript.js", include_str!("../../assets/page/transcript.js")),
        ("updates.js", include_str!("../../assets/page/updates.js")),
        ("view.js", include_str!("../../assets/page/view.js")),
        ("waiting.js", include_str!("../../assets/page/waiting.js")),
    ];
    let compressed = |(name, text): (&'static str, &'static str)| Asset {
        name,
        kind: kind(name),
        plain: text.as_bytes(),
        gzip: gzip(text.as_bytes()).into(),
        brotli: brotli(text.as_bytes()).into(),
    };
    Bundle::new(FILES.into_iter().map(compressed).collect())
});

/// The vendored scripts (`assets/vendor/VENDORED.md`), with the compressed forms made when they were built.
pub(super) static VENDOR: LazyLock<Bundle> = LazyLock::new(|| {
    macro_rules! vendored {
        ($name:literal) => {
            Asset {
                name: $name,
                kind: kind($name),
                plain: include_bytes!(concat!("../../assets/vendor/", $name)),
                gzip: include_bytes!(concat!("../../assets/vendor/", $name, ".gz")).into(),
                brotli: include_bytes!(concat!("../../assets/vendor/", $name, ".br")).into(),
            }
        };
    }
    Bundle::new(vec![vendored!("chrome.js"), vendored!("hls.js")])
});

impl Bundle {
    fn new(assets: Vec<Asset>) -> Self {
        let mut hash = Sha256::new();
        for asset in &assets {
            hash.update(asset.name.as_bytes());
            hash.update([0]);
            hash.update(asset.plain);
        }
        let version = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { version, assets }
    }
}

fn kind(name: &str) -> &'static str {
    if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to memory does not fail; an empty form is never chosen.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 9, ..Default::default() };
    let mut out = Vec::new();
    match brotli::BrotliCompress(&mut &bytes[..], &mut out, &params) {
        Ok(_) => out,
        Err(_) => Vec::new(),
    }
}

/// `/assets/{version}/{file}`. A page of another release may ask while servers are being replaced: it gets what we
/// have, for this once.
pub(super) async fn serve(
    Path((version, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let bundles = [&*PAGE, &*VENDOR];
    let found = bundles.iter().find_map(|bundle| {
        let asset = bundle.assets.iter().find(|asset| asset.name == file)?;
        Some((asset, bundle.version == version))
    });
    let (asset, current) = found.ok_or_else(Problem::not_found)?;
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (body, encoding) = if accepts(accepted, "br") && !asset.brotli.is_empty() {
        (&*asset.brotli, Some("br"))
    } else if accepts(accepted, "gzip") && !asset.gzip.is_empty() {
        (&*asset.gzip, Some("gzip"))
    } else {
        (asset.plain, None)
    };
    // The bundles live as long as the program: no copy is made.
    let mut response = (StatusCode::OK, bytes::Bytes::from_static(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    let keep = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    Ok(response)
}

/// True where `Accept-Encoding` names a coding and does not refuse it.
fn accepts(header: &str, coding: &str) -> bool {
    header.split(',').any(|item| {
        let (name, quality) = item.split_once(';').unwrap_or((item, ""));
        let refused =
            quality.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case(coding) && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn codings_are_taken_only_where_they_are_wanted() {
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("BR;q=0.5", "br"));
        assert!(!accepts("br;q=0, gzip", "br"));
        assert!(!accepts("brotli", "br"));
    }

    #[test]
    fn every_form_of_an_asset_is_the_same_bytes() {
        for bundle in [&*PAGE, &*VENDOR] {
            for asset in &bundle.assets {
                let mut gzip = Vec::new();
                flate2::read::GzDecoder::new(&*asset.gzip).read_to_end(&mut gzip).unwrap();
                let mut brotli = Vec::new();
                brotli::BrotliDecompress(&mut &*asset.brotli, &mut brotli).unwrap();
                assert!(gzip == asset.plain && brotli == asset.plain, "{}", asset.name);
            }
        }
    }

    #[test]
    fn vendored_scripts_are_the_ones_that_are_documented() {
        let told = include_str!("../../assets/vendor/VENDORED.md");
        for asset in &VENDOR.assets {
            let hash: String = Sha256::digest(asset.plain).iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(told.contains(&hash), "VENDORED.md does not name the hash of {}: {hash}", asset.name);
        }
    }

    #[test]
    fn no_script_asks_a_third_party_or_writes_markup() {
        for asset in &PAGE.assets {
            let text = std::str::from_utf8(asset.plain).unwrap();
            for banned in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!text.contains(banned), "{} holds {banned}", asset.name);
            }
        }
    }
}
