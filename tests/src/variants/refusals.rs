//! Files that people upload instead of a recording: each is refused by name, with a remedy.

use super::maker::Maker;
use super::mp4;
use super::scene::Scene;
use super::variant::Variant;
use crate::ground_truth::{GroundTruth, Refusal};

const fn named(names: &'static [&'static str]) -> Refusal {
    Refusal { names, or_played: false }
}

/// The kinds, in order.
const KINDS: [(&str, &str, Refusal); 20] = [
    ("zip", "lesson.zip", named(&["zip"])),
    ("html", "lesson.mp4", named(&["page", "html"])),
    ("form", "lesson.mp4", named(&["form"])),
    ("appledouble", "._IMG_1234.MOV", named(&["appledouble", "macos", "mac "])),
    ("cenc", "lesson.mp4", named(&["drm", "protected", "encrypted"])),
    ("gzip", "lesson.mp4", named(&["gzip", "compressed", "archive"])),
    ("7z", "lesson.7z", named(&["7z", "7-zip", "archive"])),
    ("rar", "lesson.rar", named(&["rar"])),
    ("pdf", "lesson.mp4", named(&["pdf"])),
    ("s3 error", "lesson.mp4", named(&["error", "xml"])),
    ("json", "lesson.mov", named(&["json", "error"])),
    ("drms", "lesson.m4a", named(&["drm", "protected", "encrypted"])),
    ("zeros", "lesson.mp4", named(&["zero", "empty", "download", "incomplete"])),
    ("tar", "lesson.tar", named(&["tar"])),
    ("lfs", "lesson.mp4", named(&["git", "lfs", "pointer"])),
    ("html around", "lesson.webm", named(&["page", "html"])),
    ("applesingle", "lesson.mov", named(&["applesingle", "appledouble", "macos", "mac "])),
    ("realmedia", "lesson.rm", named(&["realmedia", "real media", "realvideo"])),
    ("scrambled", "lesson.ts", named(&["drm", "protected", "encrypted"])),
    ("aavd", "lesson.aax", named(&["drm", "protected", "encrypted"])),
];

/// The files above in turn.
pub fn make(maker: &mut Maker, index: usize) -> Variant {
    let (kind, name, refusal) = KINDS[index % KINDS.len()];
    let scene = Scene::new((160, 90), "10", 2.0);
    let recording = maker.ffmpeg(
        &format!("{} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac", scene.inputs()),
        "good.mp4",
    );
    let recording = std::fs::read(recording).unwrap();
    let bytes = match kind {
        "zip" => zip(&recording),
        "html" => page("Sign in to download this file").into_bytes(),
        "html around" => [page("lesson").into_bytes(), recording].concat(),
        "form" => form(&recording),
        "appledouble" => apple(0x0005_1607),
        "applesingle" => apple(0x0005_1600),
        "cenc" => {
            let file = maker.ffmpeg(
                &format!(
                    "{} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac -encryption_scheme cenc-aes-ctr \
                     -encryption_key 76a6c65c5ea762046bd749a2e632ccbb -encryption_kid a7e61c373e219033c21091fa607bf3b8",
                    scene.inputs()
                ),
                "cenc.mp4",
            );
            std::fs::read(file).unwrap()
        }
        "scrambled" => {
            let file = maker.ffmpeg(&format!("-i {} -c copy", maker.path("good.mp4").display()), "good.ts");
            let mut bytes = std::fs::read(file).unwrap();
            // All but the tables: the flags, and what would be encrypted.
            for packet in bytes.chunks_exact_mut(188).filter(|packet| packet[1] & 0x1f == 1) {
                packet[3] |= 0x80;
                packet[100..].iter_mut().for_each(|byte| *byte ^= 0x5a);
            }
            bytes
        }
        "drms" | "aavd" => {
            let file = maker.ffmpeg(&format!("-f lavfi -i {} -c:a aac", scene.audio()), "good.m4a");
            let mut bytes = std::fs::read(file).unwrap();
            let path: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
            let at = mp4::find(&bytes, &path)[0].start;
            // The sample entry's name comes after the box's header, version, count and the entry's
            // size.
            bytes[at + 20..at + 24].copy_from_slice(kind.as_bytes());
            bytes
        }
        "gzip" => [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &recording[..1000]].concat(),
        "7z" => [&b"7z\xbc\xaf\x27\x1c\0\x04"[..], &recording[..1000]].concat(),
        "rar" => [&b"Rar!\x1a\x07\x01\0"[..], &recording[..1000]].concat(),
        "pdf" => [&b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"[..], &recording[..500]].concat(),
        "s3 error" => b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code>\
            <Message>Request has expired</Message><RequestId>0</RequestId></Error>"
            .to_vec(),
        "json" => b"{\"error\": {\"code\": 401, \"message\": \"Unauthorized\"}}".to_vec(),
        "zeros" => vec![0; 2_000_000],
        "tar" => tar(&recording),
        "lfs" => b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1\
            258daaa5e2ca24d17e2393\nsize 12345\n"
            .to_vec(),
        _ => [&b".RMF\0\0\0\x12\0\x01\0\0\0\0\0\0\0\x05"[..], &recording[..1000]].concat(),
    };
    let file = maker.write(name, &bytes, kind);
    Variant { file, truth: GroundTruth { refusal: Some(refusal), ..GroundTruth::default() } }
}

/// A page as a server sends it instead of a file.
fn page(title: &str) -> String {
    format!("<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><p>{title}</p></body></html>\n")
}

/// The body of a web form with the file in it.
fn form(file: &[u8]) -> Vec<u8> {
    let front = b"------WebKitFormBoundary7MA4YWxkTrZu0gW\r\nContent-Disposition: form-data; name=\"file\"; \
        filename=\"lesson.mp4\"\r\nContent-Type: video/mp4\r\n\r\n";
    [&front[..], file, b"\r\n------WebKitFormBoundary7MA4YWxkTrZu0gW--\r\n"].concat()
}

/// Notes on a file that other file systems keep in a second one: one entry of Finder's notes.
fn apple(magic: u32) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    bytes.extend(0x0002_0000_u32.to_be_bytes());
    bytes.extend(b"Mac OS X        ");
    bytes.extend([0, 1, 0, 0, 0, 9, 0, 0, 0, 38, 0, 0, 0, 32]);
    bytes.extend([0; 4058]);
    bytes
}

/// An archive with the file in it, stored.
fn zip(file: &[u8]) -> Vec<u8> {
    let name = b"lesson.mp4";
    let size = (file.len() as u32).to_le_bytes();
    let front = [
        &b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0"[..],
        &size,
        &size,
        &(name.len() as u16).to_le_bytes(),
        &[0, 0],
        name,
    ];
    [front.concat(), file.to_vec()].concat()
}

/// The first header of an archive, and the file.
fn tar(file: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..10].copy_from_slice(b"lesson.mp4");
    header[100..107].copy_from_slice(b"0000644");
    header[257..265].copy_from_slice(b"ustar\x0000");
    [header, file.to_vec()].concat()
}
