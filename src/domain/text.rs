//! Text that may leave the process: bounded, and free of what a hostile answer could smuggle in.

/// The longest message of a condition or event, in bytes.
pub const MAX_MESSAGE: usize = 1024;

/// The longest value of a request that a status holds, in characters.
pub const MAX_TOKEN: usize = 256;

/// A message no longer than [`MAX_MESSAGE`], cut at a character.
#[must_use]
pub fn bounded(message: &str) -> String {
    clip(message, MAX_MESSAGE)
}

/// A provider's own word (a store's name) as it may stand in a status: no control characters, bounded.
#[must_use]
pub fn plain(word: &str, max: usize) -> String {
    let clean: String = word.chars().filter(|c| !c.is_control()).collect();
    clip(&clean, max)
}

/// What an API server says of a field that its CRD does not have, without the whole object that it repeats before.
#[must_use]
pub fn unknown_field(message: &str) -> Option<&str> {
    message.find("strict decoding error").and_then(|at| message.get(at..))
}

/// What a status holds of a value by which somebody asks: what is longer is told apart by its beginning.
#[must_use]
pub fn token(value: &str) -> &str {
    value.char_indices().nth(MAX_TOKEN).map_or(value, |(end, _)| &value[..end])
}

/// Whether a text can be opened in a browser, and is nothing else: no script, no option, no control character.
#[must_use]
pub fn is_link(text: &str) -> bool {
    let plain = text.len() <= MAX_LINK && text.chars().all(|c| c.is_ascii_graphic());
    plain && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether a text can be the name of an object: a DNS subdomain.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Whether a text can be the name of a namespace: a DNS label.
#[must_use]
pub fn is_namespace(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// What stands between the dots of a name.
fn is_part(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// No browser takes a longer one.
const MAX_LINK: usize = 8192;

fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.len() + c.len_utf8() + '…'.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let text = bounded(&"ä".repeat(MAX_MESSAGE));
        assert!(text.len() <= MAX_MESSAGE && text.ends_with('…'));
    }

    #[test]
    fn a_message_is_cut_no_earlier_than_it_must_be() {
        let fits = "x".repeat(MAX_MESSAGE);
        assert_eq!(bounded(&fits), fits);
        assert_eq!(bounded(&format!("{fits}x")), format!("{}…", "x".repeat(MAX_MESSAGE - '…'.len_utf8())));
        assert_eq!(plain("Acme Outdoor", 8), "Acme …");
    }

    #[rstest]
    #[case::encrypted("https://example.com/link?id=1#top", true)]
    #[case::plain("http://example.com", true)]
    #[case::as_long_as_browsers_take(&format!("https://example.com/{}", "x".repeat(MAX_LINK - 20)), true)]
    #[case::longer(&format!("https://example.com/{}", "x".repeat(MAX_LINK - 19)), false)]
    #[case::nothing("", false)]
    #[case::no_host("https://", false)]
    #[case::a_script("javascript:alert(1)", false)]
    #[case::another_scheme("ftp://example.com/link", false)]
    #[case::an_option("--help", false)]
    #[case::a_blank("https://example.com/a b", false)]
    #[case::a_line_break("https://example.com/link\n", false)]
    #[case::no_ascii("https://example.com/\u{e4}", false)]
    fn a_link_can_be_opened_in_a_browser_and_is_nothing_else(#[case] text: &str, #[case] link: bool) {
        assert_eq!(is_link(text), link);
    }

    #[rstest]
    #[case::a_letter("a", true)]
    #[case::a_digit("1", true)]
    #[case::labels("store-1.example", true)]
    #[case::as_long_as_can_be(&"a".repeat(253), true)]
    #[case::longer(&"a".repeat(254), false)]
    #[case::nothing("", false)]
    #[case::a_capital("Store", false)]
    #[case::an_underscore("a_b", false)]
    #[case::a_dash_first("-a", false)]
    #[case::a_dash_last("a-", false)]
    #[case::an_empty_label("a..b", false)]
    #[case::a_path("a/b", false)]
    fn a_name_is_one_that_an_object_can_have(#[case] text: &str, #[case] name: bool) {
        assert_eq!(is_name(text), name);
    }

    #[rstest]
    #[case::a_label("shop-1", true)]
    #[case::as_long_as_can_be(&"a".repeat(63), true)]
    #[case::longer(&"a".repeat(64), false)]
    #[case::nothing("", false)]
    #[case::a_dot("shop.eu", false)]
    #[case::a_capital("Shop", false)]
    #[case::a_dash_last("shop-", false)]
    #[case::a_path("shop/..", false)]
    fn a_namespace_has_a_name_without_dots(#[case] text: &str, #[case] namespace: bool) {
        assert_eq!(is_namespace(text), namespace);
    }

    #[test]
    fn control_characters_do_not_pass() {
        assert_eq!(plain("Acme\u{1b}[31m\0 Outdoor\n", 64), "Acme[31m Outdoor");
    }
}
