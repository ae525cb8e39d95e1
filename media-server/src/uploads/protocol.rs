//! tus 1.0.0 as text: headers in, headers out. <https://tus.io/protocols/resumable-upload>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chalkstream_formats::names::Names;
use chalkstream_store::layout;
use chalkstream_store::vocabulary::Vocabulary;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::problem::Problem;

/// The protocol version spoken.
pub const VERSION: &str = "1.0.0";
/// The extensions offered.
pub const EXTENSIONS: &str =
    "creation,creation-with-upload,creation-defer-length,termination,expiration,concatenation";
/// Content type of an upload's bytes.
const OFFSET_STREAM: &str = "application/offset+octet-stream";
/// `Tus-Resumable`.
pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
/// `Upload-Offset`.
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// `Upload-Length`.
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
/// `Upload-Metadata`.
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
/// `Upload-Concat`.
pub const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
/// `Upload-Defer-Length`.
pub const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
/// `Upload-Expires`.
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// The recording that an upload becomes, or became before.
pub const RECORDING: HeaderName = HeaderName::from_static("chalkstream-recording");
/// `true` if the same file was here already.
pub const EXISTING: HeaderName = HeaderName::from_static("chalkstream-existing");

const MAX_METADATA_BYTES: usize = 8 * 1024;
/// Limit of partial uploads of one file; clients use two to about ten.
const MAX_PARTIALS: usize = 100;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The uploader's description of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadMetadata {
    /// Its name on the uploader's device; at most 255 bytes.
    pub filename: String,
    /// Title; at most 300 characters.
    pub title: String,
    /// The platform's id of the uploader; at most 128 bytes.
    pub uploader: String,
    /// Time by which it is needed, in ms since 1970.
    pub due_at_ms: Option<u64>,
    /// Words and names that may be said in it.
    pub vocabulary: Vocabulary,
    /// The header as it was sent, but for names; HEAD repeats it.
    pub raw: Option<String>,
}

impl UploadMetadata {
    /// Returns what is left without names. The uploader is an id that others are compared with.
    pub fn redacted(names: &Names, sent: Self) -> Self {
        Self {
            filename: names.redact(&sent.filename),
            title: names.redact(&sent.title),
            vocabulary: terms_without_names(names, &sent.vocabulary),
            raw: sent.raw.map(|raw| pairs_without_names(names, &raw)),
            ..sent
        }
    }
}

/// The terms that have no name: `[name]` is no hint.
fn terms_without_names(names: &Names, terms: &Vocabulary) -> Vocabulary {
    let without = terms.iter().filter(|term| names.find(term).is_empty());
    Vocabulary::new(without.map(str::to_owned)).unwrap_or_default()
}

/// `Upload-Metadata` without names in its values, whatever their keys. A value that is no text
/// stays as it is: nothing reads it.
fn pairs_without_names(names: &Names, raw: &str) -> String {
    let pairs = raw.split(',').map(str::trim).map(|pair| {
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        let text = decode(encoded).filter(|text| key != "uploader" && !names.find(text).is_empty());
        match text {
            None => pair.to_owned(),
            Some(text) => format!("{key} {}", STANDARD.encode(names.redact(&text))),
        }
    });
    pairs.collect::<Vec<_>>().join(",")
}

/// Refuses a client that uses another version.
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

/// The method that a POST stands for (`X-HTTP-Method-Override`): some proxies allow only GET and
/// POST.
pub fn overridden(headers: &HeaderMap) -> Option<Method> {
    let value = headers.get("x-http-method-override")?.to_str().ok()?;
    value.trim().to_ascii_uppercase().parse().ok()
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

/// True if the body is an upload's bytes. Parameters of the content type do not matter.
pub fn has_bytes(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(OFFSET_STREAM)
}

/// Refuses a PATCH of another content type.
pub fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    if has_bytes(headers) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type",
        format!("A PATCH of an upload needs the content type {OFFSET_STREAM}."),
    ))
}

/// The length of the file; `None` if a later PATCH will state it.
pub fn length(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let deferred = headers.get(UPLOAD_DEFER_LENGTH);
    match (number(headers, &UPLOAD_LENGTH)?, deferred) {
        (Some(length), None) => Ok(Some(length)),
        (None, Some(value)) if value == "1" => Ok(None),
        _ => Err(Problem::invalid(
            "upload_length",
            "An upload needs Upload-Length, or else Upload-Defer-Length: 1 and its length with a later PATCH.",
        )),
    }
}

/// `Upload-Concat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConcatHeader {
    /// One part of a file.
    Partial,
    /// A file joined from these uploads.
    Final {
        /// Ids, in order.
        ids: Vec<String>,
        /// The header as it was sent.
        text: String,
    },
}

/// Reads `Upload-Concat`. The addresses of the parts may be relative or absolute, and may go
/// through any proxy: only the last segment of their path counts.
pub fn concat(headers: &HeaderMap) -> Result<Option<ConcatHeader>, Problem> {
    let Some(value) = headers.get(UPLOAD_CONCAT) else { return Ok(None) };
    let bad = || Problem::invalid("upload_concat", "Upload-Concat is neither partial nor a list of uploads.");
    let text = value.to_str().map_err(|_| bad())?.trim();
    if text == "partial" {
        return Ok(Some(ConcatHeader::Partial));
    }
    let list = text.strip_prefix("final").map(str::trim_start).and_then(|rest| rest.strip_prefix(';'));
    let ids: Option<Vec<String>> = list.ok_or_else(bad)?.split_whitespace().map(upload_id).collect();
    let ids = ids.filter(|ids| !ids.is_empty()).ok_or_else(bad)?;
    if ids.len() > MAX_PARTIALS {
        return Err(Problem::invalid(
            "upload_concat",
            format!("An upload is joined from at most {MAX_PARTIALS} parts."),
        ));
    }
    Ok(Some(ConcatHeader::Final { ids, text: text.to_owned() }))
}

fn upload_id(address: &str) -> Option<String> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let id = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    layout::valid_recording(id).then(|| id.to_owned())
}

/// Reads `Upload-Metadata`: comma-separated pairs of a key and a base64 value. Values of unknown
/// keys are not read.
pub fn metadata(headers: &HeaderMap) -> Result<UploadMetadata, Problem> {
    let mut found = UploadMetadata::default();
    let Some(value) = headers.get(UPLOAD_METADATA) else { return Ok(found) };
    let bad =
        |what: &str| Problem::invalid("upload_metadata", format!("Upload-Metadata is not valid: {what}."));
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| bad("it is not UTF-8"))?;
    if text.len() > MAX_METADATA_BYTES {
        return Err(bad("it is too long"));
    }
    let mut name = String::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        let read = || decode(encoded).ok_or_else(|| bad(&format!("{key} is not text in base64")));
        match key {
            "filename" => found.filename = plain(&read()?, 255),
            // Some clients use this name.
            "name" => name = decode(encoded).map(|name| plain(&name, 255)).unwrap_or_default(),
            "title" => found.title = plain(&read()?, 300),
            "uploader" => found.uploader = plain(&read()?, 128),
            "due_at" => {
                let at = due_at_ms(&read()?).ok_or_else(|| bad("due_at is not a time"))?;
                found.due_at_ms = Some(at);
            }
            "vocabulary" => {
                found.vocabulary = Vocabulary::parse(&read()?)
                    .map_err(|error| Problem::invalid("vocabulary", error.to_string()))?;
            }
            _ => {}
        }
    }
    if found.filename.is_empty() {
        found.filename = name;
    }
    found.raw = Some(text.to_owned());
    Ok(found)
}

/// Decodes base64 text of any kind: phones and libraries omit the padding, or use the URL alphabet.
fn decode(encoded: &str) -> Option<String> {
    let standard = encoded.trim().replace('-', "+").replace('_', "/");
    String::from_utf8(LENIENT.decode(standard).ok()?).ok()
}

/// RFC 3339, or ms since 1970.
fn due_at_ms(value: &str) -> Option<u64> {
    if let Ok(ms) = value.parse::<u64>() {
        return Some(ms);
    }
    u64::try_from(value.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok()
}

/// Removes control characters, and cuts at a character to at most `max_bytes`.
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
    fn metadata_is_read_as_clients_write_it() {
        let read = |line: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(UPLOAD_METADATA, HeaderValue::from_bytes(line).expect("a header"));
            metadata(&headers)
        };
        let title = |line: &str| read(line.as_bytes()).expect("valid").title;
        // "Ähm? Ça va ÿÿ~": both letters in which the alphabets differ, and padding.
        let standard = "title w4RobT8gw4dhIHZhIMO/w79+fg==";
        let text = title(standard);
        assert_eq!(text, "Ähm? Ça va ÿÿ~~");
        assert_eq!(title(&standard.replace('/', "_").replace('+', "-")), text);
        assert_eq!(title(standard.trim_end_matches('=')), text);
        assert_eq!(title("thumbnail gIGCgw==,sha1 !!!,empty,flag ,title dA"), "t");
        assert_eq!(read("レッスン dA==,name aS5tb3Y=".as_bytes()).expect("valid").filename, "i.mov");
        for bad in ["title gIGCgw==", "uploader a", "filename ####", "due_at dA=="] {
            assert_eq!(read(bad.as_bytes()).expect_err(bad).code(), "upload_metadata");
        }
    }

    #[test]
    fn a_vocabulary_is_read_or_refused_in_plain_words() {
        let read = |terms: &str| {
            let value = STANDARD.encode(terms);
            let mut headers = HeaderMap::new();
            headers.insert(UPLOAD_METADATA, format!("vocabulary {value}").parse().expect("a header"));
            metadata(&headers)
        };
        let terms = read("numerator, Ms Okafor").expect("valid").vocabulary;
        assert_eq!(terms.iter().collect::<Vec<_>>(), ["numerator", "Ms Okafor"]);
        let problem = read("area, 42").expect_err("no word");
        assert_eq!(problem.code(), "vocabulary");
        // The largest one fits the header.
        let largest: Vec<String> = (0..64).map(|n| format!("{n:x>64}")).collect();
        assert_eq!(read(&largest.join(",")).expect("valid").vocabulary.len(), 64);
    }

    #[test]
    fn a_final_upload_names_its_parts_by_any_address() {
        let (one, two) = ("00000000-0001-7000-8000-00000000000a", "00000000-0002-7000-8000-00000000000b");
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(UPLOAD_CONCAT, text.parse().expect("a header"));
            concat(&headers)
        };
        for text in [
            format!("final;/v1/uploads/{two} /v1/uploads/{one}"),
            format!(
                "final; https://school.example/media/v1/uploads/{two}?a=/b  http://127.0.0.1:1/v1/uploads/{one}/"
            ),
        ] {
            let Some(ConcatHeader::Final { ids, text: kept }) = read(&text).expect("valid") else {
                panic!("{text} is a final upload")
            };
            assert_eq!((ids, kept), (vec![two.to_owned(), one.to_owned()], text));
        }
        assert_eq!(read("partial").expect("valid"), Some(ConcatHeader::Partial));
        for bad in ["final", "final;", "parts", "final;/v1/uploads/x", "final;/v1/uploads/"] {
            assert_eq!(read(bad).expect_err(bad).code(), "upload_concat");
        }
        let long = format!("final;{}", format!("/v1/uploads/{one} ").repeat(MAX_PARTIALS + 1));
        assert_eq!(read(&long).expect_err("too many").code(), "upload_concat");
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
}
