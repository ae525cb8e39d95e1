//! The turn of video in a Matroska or WebM file: by a track's projection, its name, or a tag.
//! GStreamer's demuxer reads none of them.

use std::io;

use super::ebml::{MatroskaHeader, TRACK_ENTRY, TRACK_TYPE, VIDEO, child, children, float, text, unsigned};
use crate::media::Orientation;
use crate::source::ReadAt;

const TRACK_UID: u32 = 0x73c5;
const TRACK_NAME: u32 = 0x536e;
const PROJECTION: u32 = 0x7670;
const PROJECTION_TYPE: u32 = 0x7671;
const POSE_YAW: u32 = 0x7673;
const POSE_PITCH: u32 = 0x7674;
const POSE_ROLL: u32 = 0x7675;
const TAG: u32 = 0x7373;
const TARGETS: u32 = 0x63c0;
const TAG_TRACK_UID: u32 = 0x63c5;
const SIMPLE_TAG: u32 = 0x67c8;
const TAG_NAME: u32 = 0x45a3;
const TAG_STRING: u32 = 0x4487;

/// The turn of each video track, in the file's order.
pub fn turns(source: &dyn ReadAt) -> io::Result<Vec<Orientation>> {
    let header = MatroskaHeader::read(source)?;
    Ok(track_turns(&header.tracks, &header.tags))
}

fn track_turns(tracks: &[u8], tags: &[u8]) -> Vec<Orientation> {
    let entries = children(tracks).filter(|(id, _)| *id == TRACK_ENTRY).map(|(_, data)| data);
    let videos = entries.filter(|entry| child(entry, TRACK_TYPE).map(unsigned) == Some(1));
    let turn = |entry: &[u8]| {
        child(entry, VIDEO)
            .and_then(|video| projection_turn(child(video, PROJECTION)?))
            .or_else(|| name_turn(text(child(entry, TRACK_NAME)?)))
            .or_else(|| tag_turn(tags, child(entry, TRACK_UID).map(unsigned)))
            .unwrap_or_default()
    };
    videos.map(turn).collect()
}

/// The turn of a flat projection, whose roll is anticlockwise. Half a turn of yaw or pitch displays
/// it from behind.
fn projection_turn(projection: &[u8]) -> Option<Orientation> {
    if child(projection, PROJECTION_TYPE).map_or(0, unsigned) != 0 {
        return None;
    }
    let pose = |id| child(projection, id).map_or(0.0, float);
    let is_half = |degrees: f64| (degrees.abs() - 180.0).abs() < 45.0;
    let flips = (is_half(pose(POSE_YAW)), is_half(pose(POSE_PITCH)));
    Some(Orientation::nearest(flips, -pose(POSE_ROLL))).filter(|turn| !turn.is_none())
}

/// The turn in a track's name: older phones of one maker write the clockwise angle there.
fn name_turn(name: &str) -> Option<Orientation> {
    parse_clockwise(name.strip_prefix("htc_video_rotA-")?)
}

/// The turn in a tag of the track or of the file. Tools that know no projection write the clockwise
/// angle there.
fn tag_turn(tags: &[u8], track: Option<u64>) -> Option<Orientation> {
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
        parse_clockwise(text(child(rotation?, TAG_STRING)?))
    })
}

fn parse_clockwise(degrees: &str) -> Option<Orientation> {
    let degrees: f64 = degrees.trim().parse().ok()?;
    Some(Orientation::nearest((false, false), degrees)).filter(|turn| !turn.is_none())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::container::ebml::{
        CLUSTER, EBML, SEEK, SEEK_HEAD, SEEK_ID, SEEK_POSITION, SEGMENT, TAGS, TRACKS,
    };
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
        let turn = |poses: &[Vec<u8>]| read(&[element(TRACKS, &projection(poses))])[0];
        assert_eq!(turn(&[]), (0, false));
        assert_eq!(turn(&[pose(POSE_ROLL, -90.0)]), (90, false));
        assert_eq!(turn(&[pose(POSE_ROLL, 90.0)]), (270, false));
        assert_eq!(turn(&[pose(POSE_ROLL, -180.0)]), (180, false));
        assert_eq!(turn(&[pose(POSE_YAW, 180.0)]), (0, true));
        assert_eq!(turn(&[pose(POSE_YAW, -180.0), pose(POSE_ROLL, 90.0)]), (270, true));
        assert_eq!(turn(&[pose(POSE_PITCH, 180.0)]), (180, true));
        assert_eq!(turn(&[pose(POSE_YAW, 180.0), pose(POSE_PITCH, 180.0)]), (180, false));
        let wide = element(POSE_ROLL, &(-90.0_f64).to_be_bytes());
        assert_eq!(turn(std::slice::from_ref(&wide)), (90, false), "eight bytes");
        assert_eq!(turn(&[element(PROJECTION_TYPE, &[1]), wide]), (0, false), "all around");
    }

    #[test]
    fn names_and_tags_turn_video_without_a_projection() {
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
    fn tags_after_the_clusters_are_found_by_the_seek_head() {
        let tracks = element(TRACKS, &entry(&[]));
        let tags = element(TAGS, &element(TAG, &simple_tag("ROTATE", "270")));
        let cluster = element(CLUSTER, &[0; 3000]);
        let seek = |position: u64| {
            let parts =
                [element(SEEK_ID, &TAGS.to_be_bytes()), element(SEEK_POSITION, &position.to_be_bytes())];
            element(SEEK_HEAD, &element(SEEK, &parts.concat()))
        };
        let before = seek(0).len() + tracks.len() + cluster.len();
        assert_eq!(read(&[seek(before as u64), tracks, cluster, tags]), [(270, false)]);
    }

    #[test]
    fn damaged_files_have_no_turn() {
        let file = [element(EBML, b""), element(SEGMENT, &element(TRACKS, &projection(&[])))].concat();
        for end in 0..file.len() {
            assert!(turns(&Bytes(file[..end].to_vec())).is_ok());
        }
        assert_eq!(turns(&Bytes(vec![0; 64])).unwrap(), []);
        assert_eq!(turns(&Bytes(vec![0xff; 64])).unwrap(), []);
    }
}
