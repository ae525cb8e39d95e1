//! Language tags as attributes, and the names that players display for them.

/// Returns a tag that is safe inside quotes; `und` if there is none, or it is malformed.
pub(super) fn tag(language: Option<&str>) -> &str {
    language
        .filter(|l| (2..=35).contains(&l.len()))
        .filter(|l| l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        .unwrap_or("und")
}

/// Returns a language's own name; the tag itself for a language not listed.
pub(super) fn name(tag: &str) -> &str {
    const NAMES: [(&str, &str); 24] = [
        ("ar", "العربية"),
        ("bn", "বাংলা"),
        ("cs", "Čeština"),
        ("de", "Deutsch"),
        ("el", "Ελληνικά"),
        ("en", "English"),
        ("es", "Español"),
        ("fr", "Français"),
        ("hi", "हिन्दी"),
        ("id", "Bahasa Indonesia"),
        ("it", "Italiano"),
        ("ja", "日本語"),
        ("ko", "한국어"),
        ("nl", "Nederlands"),
        ("pl", "Polski"),
        ("pt", "Português"),
        ("ru", "Русский"),
        ("sv", "Svenska"),
        ("sw", "Kiswahili"),
        ("tr", "Türkçe"),
        ("uk", "Українська"),
        ("ur", "اردو"),
        ("vi", "Tiếng Việt"),
        ("zh", "中文"),
    ];
    let primary = tag.split('-').next().unwrap_or(tag);
    NAMES.iter().find(|(known, _)| *known == primary).map_or(tag, |(_, name)| name)
}
