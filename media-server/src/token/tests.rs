#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

struct Keyring(Vec<(&'static str, &'static str, Vec<u8>)>);

impl Keys for Keyring {
    type Owner = &'static str;
    fn find(&self, kid: &str) -> Option<(&'static str, Zeroizing<Vec<u8>>)> {
        self.0
            .iter()
            .find(|(name, ..)| *name == kid)
            .map(|(_, tenant, secret)| (*tenant, Zeroizing::new(secret.clone())))
    }
}

const A: &str = "01934c9e-7d2a-7c3b-8f00-2b1e5a6c7d80";
const B: &str = "01934c9e-7d2a-7c3b-8f00-2b1e5a6c7d81";

fn ring() -> Keyring {
    Keyring(vec![("k1", "district-1", secret()), ("k2", "district-2", vec![7; 32])])
}

/// The secret of the published test vectors: bytes 0, 1, …, 31.
fn secret() -> Vec<u8> {
    (0..32).collect()
}

const NOW_S: u64 = 1_794_999_300;

fn valid_at(now_s: u64) -> Validity {
    let lifetimes = Lifetimes { link_s: 604_800, session_s: 36_000 };
    Validity { now_s, lifetimes, version_2_since_s: NOW_S }
}

fn link() -> Link {
    Link {
        id: "Zq3v0aJx".into(),
        recording: A.into(),
        viewer: "coach-17".into(),
        issued_at_s: Some(1_794_999_100),
        expires_at_s: 1_795_000_000,
        window: Window::default(),
        max_bps: None,
        may_correct: false,
    }
}

fn session() -> Session {
    Session {
        id: "s-0001".into(),
        link: "Zq3v0aJx".into(),
        recording: A.into(),
        viewer: "coach-17".into(),
        issued_at_s: Some(1_794_999_200),
        expires_at_s: 1_795_014_400,
        window: Window { start_ms: Some(60_000), end_ms: Some(120_000) },
        max_bps: Some(500_000),
        revision: 2,
        link_issued_at_s: Some(1_794_999_100),
        may_correct: false,
    }
}

fn correcting_link() -> Link {
    Link { may_correct: true, ..link() }
}

#[test]
fn the_right_to_correct_is_read_back_and_no_other_right() {
    let read = verify_link(&correcting_link().seal("k1", &secret()), &ring(), &valid_at(NOW_S)).unwrap();
    assert!(read.claims.may_correct);
    let session = Session { may_correct: true, ..session() };
    let read = verify_session(&session.seal("k1", &secret()), &ring(), &valid_at(NOW_S)).unwrap();
    assert_eq!(read.claims, session);
    for (rights, is_valid) in [("correct", true), ("", false), ("Correct", false), ("delete", false)] {
        let mut writer = wire::Writer::new(Version::V2, &Link::KIND, "k1");
        writer.bytes(b"Zq3v0aJx").bytes(A.as_bytes()).bytes(b"coach-17");
        writer.number(1_794_999_100).number(1_795_000_000);
        writer.optional(None).optional(None).optional(None).bytes(rights.as_bytes());
        let token = writer.seal(Version::V2, &Link::KIND, &secret());
        assert_eq!(verify_link(&token, &ring(), &valid_at(NOW_S)).is_ok(), is_valid, "{rights}");
    }
}

#[test]
fn the_published_vectors_hold() {
    let page = include_str!("../../../docs/ref/tokens.md");
    let full = Link {
        window: Window { start_ms: Some(60_000), end_ms: Some(120_000) },
        max_bps: Some(500_000),
        ..link()
    };
    let old_link = Link { issued_at_s: None, ..link() };
    let earlier_session = Session { link_issued_at_s: None, ..session() };
    let old_session = Session { issued_at_s: None, ..earlier_session.clone() };
    for (name, token) in [
        ("link without options", link().seal("k1", &secret())),
        ("link with every option", full.seal("k1", &secret())),
        ("link with the right to correct", correcting_link().seal("k1", &secret())),
        ("session", session().seal("k1", &secret())),
        ("session without the issue time of its link", earlier_session.seal("k1", &secret())),
        ("link of version 1", old_link.seal("k1", &secret())),
        ("session of version 1", old_session.seal("k1", &secret())),
    ] {
        assert!(page.contains(&token), "docs/ref/tokens.md lacks the vector «{name}»: {token}");
    }
}

#[test]
fn what_was_sealed_is_read_back() {
    let read = verify_link(&link().seal("k1", &secret()), &ring(), &valid_at(1_794_999_999)).unwrap();
    assert_eq!((read.claims, read.owner, read.kid.as_str()), (link(), "district-1", "k1"));
    let read = verify_session(&session().seal("k1", &secret()), &ring(), &valid_at(NOW_S)).unwrap();
    assert_eq!((read.claims, read.owner), (session(), "district-1"));
}

#[test]
fn tokens_of_version_1_are_still_read() {
    let old = Link { issued_at_s: None, ..link() };
    let token = old.seal("k1", &secret());
    assert!(token.starts_with("AUw"), "version 1, byte for byte");
    assert_eq!(verify_link(&token, &ring(), &valid_at(NOW_S)).unwrap().claims, old);
    let old = Session { issued_at_s: None, link_issued_at_s: None, ..session() };
    assert_eq!(verify_session(&old.seal("k1", &secret()), &ring(), &valid_at(NOW_S)).unwrap().claims, old);
}

#[test]
fn sessions_without_the_issue_time_of_their_link_are_still_read() {
    let earlier = Session { link_issued_at_s: None, ..session() };
    let token = earlier.seal("k1", &secret());
    assert_eq!(verify_session(&token, &ring(), &valid_at(NOW_S)).unwrap().claims, earlier);
}

#[test]
fn revocations_see_the_earlier_issue_time() {
    let first = |link_s, own_s| {
        Session { link_issued_at_s: link_s, issued_at_s: own_s, ..session() }.first_issued_at_s()
    };
    assert_eq!(first(Some(5), Some(9)), Some(5));
    assert_eq!(first(Some(9), Some(5)), Some(5));
    assert_eq!(first(None, Some(9)), Some(9));
    assert_eq!(first(None, None), None);
}

#[test]
fn the_version_of_a_token_cannot_be_changed() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for token in [link().seal("k1", &secret()), Link { issued_at_s: None, ..link() }.seal("k1", &secret())] {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
        for version in 0..=255 {
            if bytes[0] != version {
                let genuine = std::mem::replace(&mut bytes[0], version);
                let token = URL_SAFE_NO_PAD.encode(&bytes);
                assert_eq!(
                    verify_link(&token, &ring(), &valid_at(NOW_S)).unwrap_err(),
                    RefusalReason::Invalid
                );
                bytes[0] = genuine;
            }
        }
    }
}

#[test]
fn offline_links_live_no_longer_than_minted_ones() {
    let verify = |link: Link| verify_link(&link.seal("k1", &secret()), &ring(), &valid_at(NOW_S)).err();
    assert_eq!(verify(Link { expires_at_s: NOW_S + 700_000, ..link() }), Some(RefusalReason::LivesTooLong));
    assert_eq!(verify(Link { expires_at_s: NOW_S * 1000, ..link() }), Some(RefusalReason::TimeInMs));
    let long = Session { expires_at_s: NOW_S + 40_000, ..session() };
    let refused = verify_session(&long.seal("k1", &secret()), &ring(), &valid_at(NOW_S)).err();
    assert_eq!(refused, Some(RefusalReason::LivesTooLong));
}

#[test]
fn expiry_counts_from_its_very_second() {
    let token = link().seal("k1", &secret());
    assert_eq!(verify_link(&token, &ring(), &valid_at(1_795_000_000)).unwrap_err(), RefusalReason::Expired);
    // An altered one is invalid, not expired: nothing is revealed about a token that was never
    // valid.
    let other = link().seal("k1", &[9; 32]);
    assert_eq!(verify_link(&other, &ring(), &valid_at(1_795_000_000)).unwrap_err(), RefusalReason::Invalid);
}

#[test]
fn a_link_is_no_session_and_a_key_speaks_for_its_own_tenant() {
    assert_eq!(
        verify_session(&link().seal("k1", &secret()), &ring(), &valid_at(NOW_S)).unwrap_err(),
        RefusalReason::Invalid
    );
    assert_eq!(
        verify_link(&session().seal("k1", &secret()), &ring(), &valid_at(NOW_S)).unwrap_err(),
        RefusalReason::Invalid
    );
    assert_eq!(
        verify_link(&link().seal("k2", &secret()), &ring(), &valid_at(NOW_S)).unwrap_err(),
        RefusalReason::Invalid
    );
    assert_eq!(
        verify_link(&link().seal("k3", &secret()), &ring(), &valid_at(NOW_S)).unwrap_err(),
        RefusalReason::Invalid
    );
    assert_eq!(
        verify_link(&link().seal("k2", &[7; 32]), &ring(), &valid_at(NOW_S)).unwrap().owner,
        "district-2"
    );
}

#[test]
fn fields_that_are_not_canonical_are_refused_even_when_signed() {
    let spoiled = [
        Link { recording: A.to_uppercase(), ..link() },
        Link { recording: A.replace('-', ""), ..link() },
        Link { recording: format!("{A}/../{B}"), ..link() },
        Link { id: String::new(), ..link() },
        Link { id: "a/b".into(), ..link() },
        Link { viewer: String::new(), ..link() },
        Link { viewer: "a\nb".into(), ..link() },
        Link { window: Window { start_ms: Some(5), end_ms: Some(5) }, ..link() },
    ];
    for link in spoiled {
        let token = link.seal("k1", &secret());
        assert_eq!(
            verify_link(&token, &ring(), &valid_at(NOW_S)).unwrap_err(),
            RefusalReason::Invalid,
            "{link:?}"
        );
    }
}

#[test]
fn other_spellings_of_the_same_bytes_are_refused() {
    let token = session().seal("k1", &secret());
    let padded = format!("{token}=");
    let standard = token.replace('-', "+").replace('_', "/");
    for other in [padded, format!(" {token}"), format!("{token}\n"), token[..token.len() - 1].to_owned()] {
        assert_eq!(verify_session(&other, &ring(), &valid_at(NOW_S)).unwrap_err(), RefusalReason::Invalid);
    }
    if standard != token {
        assert_eq!(verify_session(&standard, &ring(), &valid_at(NOW_S)).unwrap_err(), RefusalReason::Invalid);
    }
}

proptest! {
    #[test]
    fn any_altered_character_is_refused(at in 0_usize..2000, with in "[A-Za-z0-9_-]") {
        for token in [session().seal("k1", &secret()), link().seal("k1", &secret())] {
            let at = at % token.len();
            let mut altered = token.clone();
            altered.replace_range(at..=at, &with);
            prop_assume!(altered != token);
            prop_assert_eq!(verify_session(&altered, &ring(), &valid_at(NOW_S)).err(), Some(RefusalReason::Invalid));
            prop_assert_eq!(verify_link(&altered, &ring(), &valid_at(NOW_S)).err(), Some(RefusalReason::Invalid));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,300}") {
        prop_assert!(verify_session(&text, &ring(), &valid_at(NOW_S)).is_err());
    }

    #[test]
    fn every_claim_survives_the_round(viewer in "[ -~]{1,128}", start in any::<Option<u32>>(), max in any::<Option<u64>>()) {
        let window = Window { start_ms: start.map(u64::from), end_ms: None };
        let link = Link { viewer, window, max_bps: max, ..link() };
        let read = verify_link(&link.seal("k1", &secret()), &ring(), &valid_at(NOW_S)).unwrap();
        prop_assert_eq!(read.claims, link);
    }
}
