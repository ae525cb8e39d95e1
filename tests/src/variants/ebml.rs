//! Patches Matroska files.

const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const TRACK: u64 = 0xae;
const VIDEO: u64 = 0xe0;

/// A WebM file whose video is turned by `ProjectionPoseRoll`. Positions in its index no longer fit:
/// it goes too.
pub fn with_roll(file: &[u8], degrees: f64) -> Vec<u8> {
    let roll = element(&[0x76, 0x75], &(degrees as f32).to_be_bytes());
    let kind = element(&[0x76, 0x71], &[0]);
    let projection = element(&[0x76, 0x70], &[kind, roll].concat());
    rebuilt(file, &projection)
}

/// Every element again; `added` at the end of each `Video`. The segment's size is left open.
fn rebuilt(bytes: &[u8], added: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (id, id_length) = number(bytes, at, false);
        let (size, size_length) = number(bytes, at + id_length, true);
        let begin = at + id_length + size_length;
        let open = size == (1_u64 << (7 * size_length)) - 1;
        let end = if open { bytes.len() } else { (begin + size as usize).min(bytes.len()) };
        let name = &bytes[at..at + id_length];
        let body = &bytes[begin..end];
        match id {
            SEGMENT => {
                out.extend(name);
                out.extend([0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
                out.extend(rebuilt(body, added));
            }
            TRACKS | TRACK => out.extend(element(name, &rebuilt(body, added))),
            VIDEO => out.extend(element(name, &[body, added].concat())),
            // SeekHead and Cues say where others are.
            0x114d_9b74 | 0x1c53_bb6b => {}
            _ => out.extend(&bytes[at..end]),
        }
        at = end;
    }
    out
}

/// An element with a size of eight bytes.
fn element(name: &[u8], body: &[u8]) -> Vec<u8> {
    let mut size = (body.len() as u64).to_be_bytes();
    size[0] = 0x01;
    [name, &size, body].concat()
}

/// A number of variable length, with or without its marker, and how many bytes it takes.
fn number(bytes: &[u8], at: usize, plain: bool) -> (u64, usize) {
    let length = bytes[at].leading_zeros() as usize + 1;
    let mut value = bytes[at..at + length].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    if plain {
        value &= (1 << (7 * length)) - 1;
    }
    (value, length)
}
