#![allow(clippy::unwrap_used)]
use super::*;

fn refused(front: &[u8]) -> (&'static str, String) {
    let error = for_front(front).unwrap();
    assert_eq!(error.fault(), crate::error::Fault::Input);
    (error.code, error.message)
}

fn check(front: &[u8], code: &str, name: &str) {
    let (found, message) = refused(front);
    assert_eq!(found, code, "{message}");
    assert!(message.contains(name), "{message}");
    assert!(message.ends_with('.'), "{message}");
    for sentence in message.split(". ") {
        assert!(sentence.split(' ').count() <= 25, "{sentence}");
    }
}

fn zip(name: &str, content: &str) -> Vec<u8> {
    let mut made = b"PK\x03\x04".to_vec();
    made.resize(26, 0);
    made.extend((name.len() as u16).to_le_bytes());
    made.extend([0, 0]);
    [made, name.into(), content.into()].concat()
}

#[test]
fn every_known_kind_has_a_code_a_name_and_a_remedy() {
    for signature in SIGNATURES {
        let mut front = vec![b' '; signature.offset];
        front.extend(signature.magic);
        // An earlier entry of the table may match the same front. There must be a refusal all the
        // same.
        front.resize(600, 1);
        let (_, message) = refused(&front);
        assert!(message.contains("Please "), "{}: {message}", signature.name);
        check(
            &front,
            SIGNATURES.iter().find(|k| front[k.offset..].starts_with(k.magic)).map_or("", |k| k.kind.code()),
            "This is ",
        );
    }
    for (text, kind, name) in TEXTS {
        check(format!("\n {text} and more").as_bytes(), kind.code(), name);
        check(format!("\u{feff}{}>", text.to_uppercase()).as_bytes(), kind.code(), name);
    }
}

#[test]
fn archives_and_documents_differ() {
    check(&zip("lesson.mp4", "\0\0\0\x18ftypmp42"), "archive_not_media", "unpack");
    check(&zip("[Content_Types].xml", "<?xml"), "document_not_media", "Office");
    check(&zip("ppt/slides/slide1.xml", "<?xml"), "document_not_media", "Office");
    check(&zip("mimetype", "application/vnd.oasis.opendocument.text"), "document_not_media", "a document");
    check(&zip("Index/Document.iwa", "\0"), "document_not_media", "Keynote");
    check(b"PK\x03\x04", "archive_not_media", "ZIP");
    let mut tar = vec![b'a'; 300];
    tar[257..262].copy_from_slice(b"ustar");
    check(&tar, "archive_not_media", "TAR");
}

#[test]
fn pages_and_error_messages_are_named() {
    check(b"<!-- saved from url=(0023) -->\n<HTML><head>", "page_not_media", "a web page");
    check(b"<?xml version=\"1.0\"?>\n<!DOCTYPE html>", "page_not_media", "a web page");
    let denied = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code></Error>";
    check(denied, "page_not_media", "error message");
    check(b"{\"message\": \"Not Found\"}", "page_not_media", "JSON");
    check(b"<?xml version=\"1.0\"?>\n<feed><x></x></feed>", "page_not_media", "XML");
    let wide: Vec<u8> = "\u{feff}<!DOCTYPE html>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&wide, "page_not_media", "a web page");
}

#[test]
fn a_file_that_was_wrapped_to_be_sent_is_named() {
    let form = b"------WebKitFormBoundaryabc\r\nContent-Disposition: form-data; name=\"file\"; \
        filename=\"a.mp4\"\r\nContent-Type: video/mp4\r\n\r\n\0\0\0\x18ftypmp42";
    check(form, "form_not_media", "web form");
    check(b"--2f8a\r\ncontent-disposition: form-data; name=x\r\n\r\n", "form_not_media", "web form");
    check(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n\0\0", "form_not_media", "headers");
    check(b"data:video/webm;base64,GkXfo59C", "form_not_media", "data URL");
    check(b"AAAAIGZ0eXBpc29tAAAC", "form_not_media", "base64");
}

#[test]
fn links_placeholders_and_sidecars_are_named() {
    check(b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "sidecar_not_media", "companion");
    check(b"version https://git-lfs.github.com/spec/v1\noid sha256:", "link_not_media", "Git LFS");
    check(b"bplist00\xd1\x01\x02", "link_not_media", "iCloud");
    check(b"<?xml version=\"1.0\"?>\n<!DOCTYPE plist PUBLIC>", "link_not_media", "macOS");
    check(b"{\"url\": \"https://docs.google.com/open?id=1\"}", "link_not_media", "a link");
}

#[test]
fn what_is_incomplete_is_named() {
    check(&[0; 8192], "incomplete_file", "empty data");
    check(b"\x1f\x43\xb6\x75\x01\xff", "truncated_no_index", "beginning");
}

#[test]
fn texts_and_captions_are_named() {
    check(b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n", "document_not_media", "SRT");
    check("Liebe Kollegen, hier der Plan f\u{fc}r die Stunde.".as_bytes(), "not_media", "a text");
    assert_eq!(for_front(b"\0\x08\0\0\x57\x90\x75\x36").unwrap().code, "encrypted");
    assert!(for_front(b"\x12\x9a\x04\x80 nothing that is known").is_none());
    check(b"BM\x46\0\0\0\0\0\0\0\x36\0", "image_not_video", "BMP");
    check(b"<?xml version=\"1.0\"?>\n<MPD>", "playlist_not_media", "a playlist");
}
