//! Scripts and styles, embedded. Their address contains the hash of their content, so a browser may
//! keep them for ever.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use chalkstream_formats::hex;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// An embedded file with its compressed forms.
struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: std::borrow::Cow<'static, [u8]>,
    gzip: std::borrow::Cow<'static, [u8]>,
    brotli: std::borrow::Cow<'static, [u8]>,
}

/// Files with one common hash in their address.
pub(super) struct Bundle {
    /// The first hex digits of the hash of all files.
    pub(super) version: String,
    assets: Vec<Asset>,
}

/// Our own scripts and style: without comments, and compressed when first requested.
pub(super) static PAGE: LazyLock<Bundle> = LazyLock::new(|| {
    const FILES: [(&str, &str); 14] = [
        ("app.js", include_str!("../../assets/page/app.js")),
        ("preload.js", include_str!("../../assets/page/preload.js")),
        ("correct.js", include_str!("../../assets/page/correct.js")),
        ("extras.js", include_str!("../../assets/page/extras.js")),
        ("keys.js", include_str!("../../assets/page/keys.js")),
        ("original.js", include_str!("../../assets/page/original.js")),
        ("talk.js", include_str!("../../assets/page/talk.js")),
        ("search.js", include_str!("../../assets/page/search.js")),
        ("stream.js", include_str!("../../assets/page/stream.js")),
        ("style.css", include_str!("../../assets/page/style.css")),
        ("transcript.js", include_str!("../../assets/page/transcript.js")),
        ("updates.js", include_str!("../../assets/page/updates.js")),
        ("view.js", include_str!("../../assets/page/view.js")),
        ("waiting.js", include_str!("../../assets/page/waiting.js")),
    ];
    let compressed = |(name, text): (&'static str, &'static str)| {
        let plain = without_comments(text).into_bytes();
        let (gzip, brotli) = (gzip(&plain).into(), brotli(&plain).into());
        Asset { name, kind: kind(name), plain: plain.into(), gzip, brotli }
    };
    Bundle::new(FILES.into_iter().map(compressed).collect())
});

/// The vendored scripts (`assets/vendor/VENDORED.md`), with the compressed forms made when they
/// were built.
pub(super) static VENDOR: LazyLock<Bundle> = LazyLock::new(|| {
    macro_rules! vendored {
        ($name:literal) => {
            Asset {
                name: $name,
                kind: kind($name),
                plain: include_bytes!(concat!("../../assets/vendor/", $name)).into(),
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
            hash.update(&asset.plain);
        }
        let version = hex::encode(&hash.finalize()[..8]);
        Self { version, assets }
    }
}

/// Removes indentation, empty lines and comment lines: a viewer on a weak connection reads none.
fn without_comments(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let kept = lines.filter(|line| {
        let comment = line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
        !line.is_empty() && !comment
    });
    kept.collect::<Vec<_>>().join("\n")
}

fn kind(name: &str) -> &'static str {
    if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing to memory does not fail; an empty form is never sent.
    encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_default()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
    let mut out = Vec::new();
    match brotli::BrotliCompress(&mut &bytes[..], &mut out, &params) {
        Ok(_) => out,
        Err(_) => Vec::new(),
    }
}

/// `/assets/{version}/{file}`. While servers are being replaced, a page of another release may ask
/// for its version. It gets ours, uncached.
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
        (&*asset.plain, None)
    };
    // The bundles live as long as the program, so nothing is copied.
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

/// True if `Accept-Encoding` names a coding and does not refuse it.
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
                assert!(gzip == *asset.plain && brotli == *asset.plain, "{}", asset.name);
            }
        }
    }

    /// Compressed size of the page's HTML, scripts and style.
    const PAGE_BUDGET_BYTES: usize = 130_000;

    /// Names of the files that a text requests after `before`.
    fn named<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split(['"', '\'']).next())
    }

    #[test]
    fn the_page_fits_its_budget_and_names_all_it_needs() {
        let html = include_str!("../../templates/player.html");
        let asset = |name: &str| PAGE.assets.iter().find(|a| a.name == name).expect("an asset");
        let first: Vec<&str> = named(html, "{{assets}}/").collect();
        assert!(first.contains(&"app.js") && first.contains(&"style.css"), "{first:?}");
        for name in &first {
            // A file that is found only when a script is read would cost another round trip.
            let text = std::str::from_utf8(&asset(name).plain).unwrap();
            for needed in named(text, " from './") {
                assert!(first.contains(&needed), "{name} needs {needed}, which the page does not name");
            }
        }
        // Only viewers who may correct the transcript load that script, after everything else.
        let loaded = |asset: &&Asset| asset.name != "correct.js";
        let sizes = |bundle: &Bundle| {
            bundle.assets.iter().filter(loaded).map(|asset| asset.brotli.len()).sum::<usize>()
        };
        let (own, vendored) = (sizes(&PAGE), sizes(&VENDOR));
        // A lesson with the playlist of a full ladder and a placeholder image: mostly letters that
        // do not compress. The server compresses pages as it sends them, less well than files.
        let letter = |n: u32| char::from(b'A' + (n.wrapping_mul(2_654_435_761) >> 27) as u8 % 26);
        let lesson: String = (0..4000).map(letter).collect();
        let page = brotli(format!("{html}{lesson}").as_bytes()).len() * 5 / 4;
        let total = own + vendored + page;
        assert!(
            total <= PAGE_BUDGET_BYTES,
            "{total} bytes: scripts and style {own}, libraries {vendored}, page {page}"
        );
    }

    #[test]
    fn comments_go_and_code_stays() {
        let text = "// a\n\n  const a = 'x'; // b\n/* c */\n  call(`//d`);\n";
        assert_eq!(without_comments(text), "const a = 'x'; // b\ncall(`//d`);");
    }

    #[test]
    fn vendored_scripts_are_the_ones_that_are_documented() {
        let documented = include_str!("../../assets/vendor/VENDORED.md");
        for asset in &VENDOR.assets {
            let hash = hex::encode(&Sha256::digest(&asset.plain));
            assert!(
                documented.contains(&hash),
                "VENDORED.md does not name the hash of {}: {hash}",
                asset.name
            );
        }
    }

    #[test]
    fn no_script_asks_a_third_party_or_writes_markup() {
        for asset in &PAGE.assets {
            let text = std::str::from_utf8(&asset.plain).unwrap();
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
