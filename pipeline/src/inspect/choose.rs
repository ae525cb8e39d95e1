//! Which picture and which sound of several, and why. Pure but for reading caps.

use super::scan::Scanned;
use crate::media::Choice;

/// The pictures in the order they are tried: the largest that moves first, of equals the one that comes first in the
/// file. A cover or thumbnail is none.
pub fn pictures(tracks: &[Scanned]) -> Vec<&Scanned> {
    let mut found: Vec<_> =
        tracks.iter().filter(|t| t.picture && t.start_ns.is_some() && !is_still(t)).collect();
    found.sort_by_key(|track| std::cmp::Reverse(area(track)));
    found
}

/// The sounds in the order they are tried: as they come in the file. Phones put the sound every player reads first,
/// and one for headsets behind it.
pub fn sounds(tracks: &[Scanned]) -> Vec<&Scanned> {
    tracks.iter().filter(|t| !t.picture && t.start_ns.is_some()).collect()
}

/// Why this picture, where the file has several.
pub fn why_picture(track: &Scanned, all: &[Scanned], first: Option<&Scanned>) -> Option<Choice> {
    let rivals: Vec<_> = all.iter().filter(|t| t.picture && t.index != track.index).collect();
    let why = if first.is_some_and(|first| first.index != track.index) {
        "A larger picture can't be read here."
    } else if rivals.iter().all(|t| is_still(t)) {
        "The others are still pictures."
    } else if rivals.iter().any(|t| !is_still(t) && area(t) == area(track)) {
        "It is the first of the largest."
    } else {
        "It is the largest."
    };
    choice(rivals.len(), why)
}

/// Why this sound, where the file has several.
pub fn why_sound(track: &Scanned, all: &[Scanned], first: Option<&Scanned>) -> Option<Choice> {
    let rivals = all.iter().filter(|t| !t.picture && t.index != track.index).count();
    let first = first.is_none_or(|first| first.index == track.index);
    choice(rivals, if first { "It comes first in the file." } else { "Those before it can't be read here." })
}

fn choice(rivals: usize, why: &str) -> Option<Choice> {
    (rivals > 0).then(|| Choice { of: rivals as u32 + 1, why: why.to_owned() })
}

fn area(track: &Scanned) -> i64 {
    let size = track.caps.as_ref().and_then(|caps| {
        let s = caps.structure(0)?;
        Some(i64::from(s.get::<i32>("width").ok()?) * i64::from(s.get::<i32>("height").ok()?))
    });
    size.unwrap_or(0)
}

/// A cover or thumbnail: a picture or two in JPEG or PNG.
fn is_still(track: &Scanned) -> bool {
    let name = track.caps.as_ref().and_then(|c| c.structure(0)).map(|s| s.name().as_str());
    matches!(name, Some("image/jpeg" | "image/png")) && track.packets < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(index: u32, width: i32, height: i32, name: &str, packets: u64) -> Scanned {
        let caps = gstreamer::Caps::builder(name).field("width", width).field("height", height).build();
        Scanned { caps: Some(caps), index, picture: true, packets, start_ns: Some(0), ..Scanned::default() }
    }

    #[test]
    fn the_largest_moving_picture_is_tried_first_and_says_why() {
        assert!(gstreamer::init().is_ok());
        let all = [
            picture(0, 320, 180, "video/x-h264", 300),
            picture(1, 4000, 3000, "image/jpeg", 1),
            picture(2, 480, 270, "video/x-h264", 300),
        ];
        let order = pictures(&all);
        assert_eq!(order.iter().map(|t| t.index).collect::<Vec<_>>(), [2, 0]);
        let why = |track: &Scanned| why_picture(track, &all, order.first().copied());
        assert_eq!(why(order[0]), Some(Choice { of: 3, why: "It is the largest.".into() }));
        assert_eq!(why(order[1]).map(|c| c.why).as_deref(), Some("A larger picture can't be read here."));
        assert_eq!(why_picture(&all[0], &all[..1], Some(&all[0])), None, "there was no choice");
        let cover = [all[0].clone(), all[1].clone()];
        let why = why_picture(&cover[0], &cover, Some(&cover[0]));
        assert_eq!(why.map(|c| c.why).as_deref(), Some("The others are still pictures."));
    }
}
