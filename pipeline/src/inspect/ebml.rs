//! How a Matroska or WebM file turns its video: by a track's projection, its name, or a tag.
//! GStreamer's demuxer reads none of them.

use std::io;

use crate::media::Turn;
use crate::source::{ReadAt, read_full};

/// Most bytes of one element that are read: tracks and tags are small.
const MAX_ELEMENT_BYTES: u64 = 1 << 20;
/// Most elements looked at before the first cluster.
const MAX_ELEMENTS: usize = 64;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const SEEK_HEAD: u32 = 0x114d_9b74;
const SEEK: u32 = 0x4dbb;
const SEEK_ID: u32 = 0x53ab;
const SEEK_POSITION: u32 = 0x53ac;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_TYPE: u32 = 0x83;
const TRACK_UID: u32 = 0x73c5;
const TRACK_NAME: u32 = 0x536e;
const VIDEO: u32 = 0xe0;
const PROJECTION: u32 = 0x7670;
const PROJECTION_TYPE: u32 = 0x7671;
const POSE_YAW: u32 = 0x7673;
const POSE_PITCH: u32 = 0x7674;
const POSE_ROLL: u32 = 0x7675;
const TAGS: u32 = 0x1254_c367;
const TAG: u32 = 0x7373;
const TARGETS: u32 = 0x63c0;
const TAG_TRACK_UID: u32 = 0x63c5;
const SIMPLE_TAG: u32 = 0x67c8;
const TAG_NAME: u32 = 0x45a3;
const TAG_STRING: u32 = 0x4487;

/// The turn of each video track, in the file's order.
pub fn turns(source: &dyn ReadAt) -> io::Result<Vec<Turn>> {
    let (mut tracks, mut tags) = (Vec::new(), Vec::new());
    let Some((SEGMENT, _, segment_at)) = after_header(source)? else { return Ok(Vec::new()) };
    let (mut at, mut places) = (segment_at, Vec::new());
    for _ in 0..MAX_ELEMENTS {
        let Some((id, size, data_at)) = head(source, at)? else { break };
        match id {
            CLUSTER => break,
            TRACKS if tracks.is_empty() => tracks = data(source, data_at, size)?,
            TAGS if tags.is_empty() => tags = data(source, data_at, size)?,
            SEEK_HEAD => places.extend(seek_places(&data(source, data_at, size)?)),
            _ => {}
        }
        at = data_at.saturating_add(size);
    }
    for (id, place) in places.into_iter().take(MAX_ELEMENTS) {
        let missing = match id {
            TRACKS if tracks.is_empty() => &mut tracks,
            TAGS if tags.is_empty() => &mut tags,
            _ => continue,
        };
        if let Some((found, size, data_at)) = head(source, segment_at.saturating_add(place))?
            && found == id
        {
            *missing = data(source, data_at, size)?;
        }
    }
    Ok(of_tracks(&tracks, &tags))
}

/// The head of the element behind the EBML header.
fn after_header(source: &dyn ReadAt) -> io::Result<Option<(u32, u64, u64)>> {
    match head(source, 0)? {
        Some((EBML, size, data_at)) => head(source, data_at.saturating_add(size)),
        _ => Ok(None),
    }
}

/// An element's identifier, its size in bytes, and where its data begins. An unknown size is the
/// rest of the file.
fn head(source: &dyn ReadAt, at: u64) -> io::Result<Option<(u32, u64, u64)>> {
    let mut bytes = [0; 12];
    let read = read_full(source, at, &mut bytes)?;
    Ok(parse_head(&bytes[..read]).map(|(id, size, length)| {
        let data_at = at + length as u64;
        (id, size.unwrap_or(source.size_bytes().saturating_sub(data_at)), data_at)
    }))
}

fn data(source: &dyn ReadAt, at: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size.min(MAX_ELEMENT_BYTES) as usize];
    let read = read_full(source, at, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Identifier, size (`None` if unknown) and length of an element's head (RFC 8794, 4 to 6).
fn parse_head(bytes: &[u8]) -> Option<(u32, Option<u64>, usize)> {
    let id_length = bytes.first()?.leading_zeros() as usize + 1;
    let id = (id_length <= 4).then(|| bytes.get(..id_length))??;
    let id = id.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    let rest = &bytes[id_length..];
    let size_length = rest.first()?.leading_zeros() as usize + 1;
    let size = (size_length <= 8).then(|| rest.get(..size_length))??;
    let size = size.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let most = (1_u64 << (7 * size_length)) - 1;
    let size = size & most;
    Some((id, (size != most).then_some(size), id_length + size_length))
}

/// The elements in an element's data; the last one may be cut off.
fn children(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (id, size, length) = parse_head(bytes)?;
        let rest = &bytes[length..];
        let size =
            size.map_or(rest.len(), |size| usize::try_from(size).unwrap_or(usize::MAX).min(rest.len()));
        let (data, after) = rest.split_at(size);
        bytes = after;
        Some((id, data))
    })
}

fn child(bytes: &[u8], wanted: u32) -> Option<&[u8]> {
    children(bytes).find(|(id, _)| *id == wanted).map(|(_, data)| data)
}

fn unsigned(data: &[u8]) -> u64 {
    data.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn float(data: &[u8]) -> f64 {
    match *data {
        [a, b, c, d] => f32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ => 0.0,
    }
}

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default().trim_end_matches('\0')
}

fn seek_places(seek_head: &[u8]) -> Vec<(u32, u64)> {
    let seeks = children(seek_head).filter(|(id, _)| *id == SEEK);
    let place = |data| Some((unsigned(child(data, SEEK_ID)?) as u32, unsigned(child(data, SEEK_POSITION)?)));
    seeks.filter_map(|(_, data)| place(data)).collect()
}

fn of_tracks(tracks: &[u8], tags: &[u8]) -> Vec<Turn> {
    let entries = children(tracks).filter(|(id, _)| *id == TRACK_ENTRY).map(|(_, data)| data);
    let videos = entries.filter(|entry| child(entry, TRACK_TYPE).map(unsigned) == Some(1));
    let turn = |entry: &[u8]| {
        child(entry, VIDEO)
            .and_then(|video| projected(child(video, PROJECTION)?))
            .or_else(|| named(text(child(entry, TRACK_NAME)?)))
            .or_else(|| tagged(tags, child(entry, TRACK_UID).map(unsigned)))
            .unwrap_or_default()
    };
    videos.map(turn).collect()
}

/// The turn of a flat projection. Its roll is anticlockwise; half a turn of yaw or pitch shows it
/// from behind.
fn projected(projection: &[u8]) -> Option<Turn> {
    if child(projection, PROJECTION_TYPE).map_or(0, unsigned) != 0 {
        return None;
    }
    let pose = |id| child(projection, id).map_or(0.0, float);
    let is_half = |degrees: f64| (degrees.abs() - 180.0).abs() < 45.0;
    let flips = (is_half(pose(POSE_YAW)), is_half(pose(POSE_PITCH)));
    Some(Turn::nearest(flips, -pose(POSE_ROLL))).filter(|turn| !turn.is_none())
}

/// Older phones of one maker write the clockwise angle in the track's name.
fn named(name: &str) -> Option<Turn> {
    clockwise(name.strip_prefix("htc_video_rotA-")?)
}

/// Tools that know no projection write the clockwise angle in a tag, of the track or of the file.
fn tagged(tags: &[u8], track: Option<u64>) -> Option<Turn> {
    children(tags).filter(|(id, _)| *id == TAG).find_map(|(_, tag)| {
        let target =
            child(tag, TARGETS).and_then(|targets| child(targets, TAG_TRACK_UID)).map_or(0, unsigned);
        if target != 0 && Some(target) != track {
            return None;
        }
        let simple = children(tag).filter(|(id, _)| *id == SIMPLE_TAG);
        let rotation = simple.map(|(_, simple)| simple).find(|simple| {
            let name = child(simple, TAG_NAME).map(text).unwrap_or_default();
            name.eq_ignore_ascii_case("rotate") || name.eq_ignore_ascii_case("rotation")
        });
        clockwise(text(child(rotation?, TAG_STRING)?))
    })
}

fn clockwise(degrees: &str) -> Option<Turn> {
    let degrees: f64 = degrees.trim().parse().ok()?;
    Some(Turn::nearest((false, false), degrees)).filter(|turn| !turn.is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::source::Bytes;

    fn element(id: u32, data: &[u8]) -> Vec<u8> {
        let bytes = id.to_be_bytes();
        let id = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        [id, &(data.len() as u64 | 1 << 56).to_be_bytes(), data].concat()
    }

    fn pose(id: u32, degrees: f32) -> Vec<u8> {
        element(id, &degrees.to_be_bytes())
    }

    fn entry(parts: &[Vec<u8>]) -> Vec<u8> {
        let fixed = [element(TRACK_TYPE, &[1]), element(TRACK_UID, &[7])].concat();
        element(TRACK_ENTRY, &[fixed, parts.concat()].concat())
    }

    fn projection(poses: &[Vec<u8>]) -> Vec<u8> {
        entry(&[element(VIDEO, &element(PROJECTION, &poses.concat()))])
    }

    fn simple_tag(name: &str, value: &str) -> Vec<u8> {
        let parts = [element(TAG_NAME, name.as_bytes()), element(TAG_STRING, value.as_bytes())];
        element(SIMPLE_TAG, &parts.concat())
    }

    fn read(parts: &[Vec<u8>]) -> Vec<(u16, bool)> {
        let file = [element(EBML, b"\x42\x82\x84webm"), element(SEGMENT, &parts.concat())].concat();
        turns(&Bytes(file)).unwrap().iter().map(|turn| (turn.degrees, turn.mirrored)).collect()
    }

    #[test]
    fn projections_turn_and_mirror() {
        let of = |poses: &[Vec<u8>]| read(&[element(TRACKS, &projection(poses))])[0];
        assert_eq!(of(&[]), (0, false));
        assert_eq!(of(&[pose(POSE_ROLL, -90.0)]), (90, false));
        assert_eq!(of(&[pose(POSE_ROLL, 90.0)]), (270, false));
        assert_eq!(of(&[pose(POSE_ROLL, -180.0)]), (180, false));
        assert_eq!(of(&[pose(POSE_YAW, 180.0)]), (0, true));
        assert_eq!(of(&[pose(POSE_YAW, -180.0), pose(POSE_ROLL, 90.0)]), (270, true));
        assert_eq!(of(&[pose(POSE_PITCH, 180.0)]), (180, true));
        assert_eq!(of(&[pose(POSE_YAW, 180.0), pose(POSE_PITCH, 180.0)]), (180, false));
        let wide = element(POSE_ROLL, &(-90.0_f64).to_be_bytes());
        assert_eq!(of(std::slice::from_ref(&wide)), (90, false), "eight bytes");
        assert_eq!(of(&[element(PROJECTION_TYPE, &[1]), wide]), (0, false), "all around");
    }

    #[test]
    fn names_and_tags_turn_what_no_projection_turns() {
        let named = entry(&[element(TRACK_NAME, b"htc_video_rotA-090")]);
        assert_eq!(read(&[element(TRACKS, &named)]), [(90, false)]);
        let audio = element(TRACK_ENTRY, &element(TRACK_TYPE, &[2]));
        let tracks = element(TRACKS, &[audio, entry(&[]), projection(&[pose(POSE_ROLL, 90.0)])].concat());
        let tag = |target: &[u8]| {
            let targets = element(TARGETS, &element(TAG_TRACK_UID, target));
            element(TAGS, &element(TAG, &[targets, simple_tag("ROTATE", "90")].concat()))
        };
        assert_eq!(read(&[tracks.clone(), tag(&[7])]), [(90, false), (270, false)]);
        assert_eq!(read(&[tracks.clone(), tag(&[9])]), [(0, false), (270, false)]);
        let of_file = element(TAGS, &element(TAG, &simple_tag("rotate", "180")));
        assert_eq!(read(&[tracks, of_file]), [(180, false), (270, false)]);
    }

    #[test]
    fn tags_behind_the_clusters_are_found_by_the_seek_head() {
        let tracks = element(TRACKS, &entry(&[]));
        let tags = element(TAGS, &element(TAG, &simple_tag("ROTATE", "270")));
        let cluster = element(CLUSTER, &[0; 3000]);
        let seek = |place: u64| {
            let parts = [element(SEEK_ID, &TAGS.to_be_bytes()), element(SEEK_POSITION, &place.to_be_bytes())];
            element(SEEK_HEAD, &element(SEEK, &parts.concat()))
        };
        let before = seek(0).len() + tracks.len() + cluster.len();
        assert_eq!(read(&[seek(before as u64), tracks, cluster, tags]), [(270, false)]);
    }

    #[test]
    fn damaged_files_turn_nothing() {
        let file = [element(EBML, b""), element(SEGMENT, &element(TRACKS, &projection(&[])))].concat();
        for end in 0..file.len() {
            assert!(turns(&Bytes(file[..end].to_vec())).is_ok());
        }
        assert_eq!(turns(&Bytes(vec![0; 64])).unwrap(), []);
        assert_eq!(turns(&Bytes(vec![0xff; 64])).unwrap(), []);
    }
}
