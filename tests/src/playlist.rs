//! Playlists read as text: tags with their attributes, and segments. No rule of any kind is
//! applied.

/// A tag and the URI that follows it, where one does.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name, without `#`.
    pub name: String,
    attributes: Vec<(String, String)>,
    next: String,
}

impl Line {
    /// An attribute, without its quotes.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The URI it has as an attribute, or that stands on the next line.
    pub fn uri(&self) -> String {
        self.get("URI").unwrap_or(&self.next).to_owned()
    }
}

/// The tags of a playlist in order.
pub fn lines(text: &str) -> Vec<Line> {
    let rows: Vec<&str> = text.lines().map(str::trim).filter(|row| !row.is_empty()).collect();
    let mut found = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(tag) = row.strip_prefix('#') else { continue };
        let (name, rest) = tag.split_once(':').unwrap_or((tag, ""));
        let next = rows.get(index + 1).filter(|row| !row.starts_with('#')).copied().unwrap_or_default();
        found.push(Line { name: name.to_owned(), attributes: attributes(rest), next: next.to_owned() });
    }
    found
}

/// `KEY=value,KEY="quoted, value"`.
fn attributes(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, left) = quoted.split_once('"').unwrap_or((quoted, ""));
                (value, left.strip_prefix(',').unwrap_or(left))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((key.trim().to_owned(), value.to_owned()));
        rest = left;
    }
    found
}

/// One segment as a media playlist lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Where it is.
    pub uri: String,
    /// EXTINF, in s.
    pub duration_s: f64,
    /// Length and, where it is said, offset in bytes.
    pub byte_range: Option<(u64, Option<u64>)>,
}

/// The segments of a media playlist.
pub fn segments(text: &str) -> Vec<Segment> {
    let (mut found, mut duration_s, mut byte_range) = (Vec::new(), None, None);
    for row in text.lines().map(str::trim) {
        if let Some(rest) = row.strip_prefix("#EXTINF:") {
            duration_s = rest.split(',').next().and_then(|n| n.parse().ok());
        } else if let Some(rest) = row.strip_prefix("#EXT-X-BYTERANGE:") {
            let (length, offset) = rest.split_once('@').map_or((rest, None), |(l, o)| (l, o.parse().ok()));
            byte_range = length.parse().ok().map(|length| (length, offset));
        } else if !row.is_empty() && !row.starts_with('#') {
            let duration_s = duration_s.take().unwrap_or(0.0);
            found.push(Segment { uri: row.to_owned(), duration_s, byte_range: byte_range.take() });
        }
    }
    found
}

/// Sum of the EXTINF durations, in s.
pub fn seconds(text: &str) -> f64 {
    segments(text).iter().map(|segment| segment.duration_s).sum()
}

/// The URI of the init segment.
pub fn init_uri(text: &str) -> Option<String> {
    lines(text).iter().find(|line| line.name == "EXT-X-MAP").map(Line::uri)
}

/// The URIs of a playlist: its lines that are not tags, and the `URI="…"` of its tags.
pub fn uris(playlist: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in playlist.lines() {
        if let Some((_, rest)) = line.split_once("URI=\"") {
            found.extend(rest.split('"').next().map(str::to_owned));
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            found.push(line.to_owned());
        }
    }
    found
}
