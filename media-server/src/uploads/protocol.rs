//! tus 1.0.0 as text: headers in, headers out. <https://tus.io/protocols/resumable-upload>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::problem::Problem;

/// The protocol version spoken.
pub const VERSION: &str = "1.0.0";
/// The extensions offered.
pub const EXTENSIONS: &str = "creation,termination,expiration";
/// `Tus-Resumable`.
pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// `Upload-Offset`.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// `Upload-Length`.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// `Upload-Metadata`.
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// `Upload-Expires`.
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// The recording an upload makes, or made before.
pub const RECORDING: HeaderName = HeaderName::from_static("chalkstream-recording");
/// `true` where the same file was here already.
pub const EXISTING: HeaderName = HeaderName::from_static("chalkstream-existing");

const MAX_METADATA_BYTES: usize = 8 * 1024;

/// What the uploader says of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its name on the uploader's device; at most 255 bytes.
    pub filename: String,
    /// Title; at most 300 characters.
    pub title: String,
    /// The platform's id of who uploads it; at most 128 bytes.
    pub uploader: String,
    /// When someone needs it, in ms since 1970.
    pub due_at_ms: Option<u64>,
}

/// Refuses a client that speaks another version.
pub fn check_version(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(TUS_RESUMABLE).is_some_and(|value| value == VERSION) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "tus_version",
        "This server speaks tus 1.0.0; send Tus-Resumable: 1.0.0.",
    )
    .with_header(HeaderName::from_static("tus-version"), HeaderValue::from_static(VERSION)))
}

/// A header that must be a whole number.
pub fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| Problem::invalid("invalid_header", format!("{name} must be a whole number.")))
}

/// Refuses a PATCH of another content type.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/offset+octet-stream") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type",
        "A PATCH of an upload has the content type application/offset+octet-stream.",
    ))
}

/// `Upload-Metadata`: pairs of a key and a base64 value, with commas between. Unknown keys are left aside.
pub fn metadata(headers: &HeaderMap) -> Result<Metadata, Problem> {
    let mut found = Metadata::default();
    let Some(value) = headers.get(UPLOAD_METADATA) else { return Ok(found) };
    let bad = || Problem::invalid("upload_metadata", "Upload-Metadata is not valid.");
    let text = value.to_str().map_err(|_| bad())?;
    if text.len() > MAX_METADATA_BYTES {
        return Err(bad());
    }
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        let bytes = STANDARD.decode(encoded.trim()).map_err(|_| bad())?;
        let value = String::from_utf8(bytes).map_err(|_| bad())?;
        match key {
            "filename" => found.filename = plain(&value, 255),
            "title" => found.title = plain(&value, 300),
            "uploader" => found.uploader = plain(&value, 128),
            "due_at" => found.due_at_ms = Some(due_at_ms(&value).ok_or_else(bad)?),
            _ => {}
        }
    }
    Ok(found)
}

/// RFC 3339, or ms since 1970.
fn due_at_ms(value: &str) -> Option<u64> {
    if let Ok(ms) = value.parse::<u64>() {
        return Some(ms);
    }
    u64::try_from(value.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok()
}

/// Without control characters, and cut at a character to at most `max_bytes`.
fn plain(text: &str, max_bytes: usize) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > max_bytes {
            break;
        }
        out.push(c);
    }
    out.trim().to_owned()
}

/// A date as HTTP writes it, for `Upload-Expires`.
pub fn http_date(at_ms: u64) -> Option<HeaderValue> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(at_ms).ok()?).ok()?;
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_and_bounded() {
        let mut headers = HeaderMap::new();
        let b64 = |text: &str| STANDARD.encode(text);
        let line = format!(
            "filename {}, title {},is_private,due_at {}",
            b64("IMG 1.MOV"),
            b64("Year 5\u{7} fractions"),
            b64("2026-11-22T14:00:00Z")
        );
        headers.insert(UPLOAD_METADATA, line.parse().expect("a header"));
        let read = metadata(&headers).expect("valid");
        assert_eq!(read.filename, "IMG 1.MOV");
        assert_eq!(read.title, "Year 5 fractions");
        assert_eq!(read.due_at_ms, Some(1_795_356_000_000));
        headers.insert(UPLOAD_METADATA, "filename !!!".parse().expect("a header"));
        assert_eq!(metadata(&headers).expect_err("refused").code(), "upload_metadata");
    }

    #[test]
    fn numbers_are_plain_digits() {
        let mut headers = HeaderMap::new();
        assert_eq!(number(&headers, &UPLOAD_OFFSET).expect("absent"), None);
        for bad in ["-1", "+1", "1.5", "", "99999999999999999999999"] {
            headers.insert(UPLOAD_OFFSET, bad.parse().expect("a header"));
            assert!(number(&headers, &UPLOAD_OFFSET).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_are_http_dates() {
        assert_eq!(http_date(784_111_777_000).expect("a date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
