//! What a node of a schema says about a value beyond its type: the keywords, read once.

use regex::Regex;
use serde_json::{Number, Value};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) one_of: Vec<Value>,
    pub(crate) required: Vec<String>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) format: Option<Format>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) minimum: Option<Number>,
    pub(crate) maximum: Option<Number>,
    pub(crate) max_properties: Option<usize>,
    /// No two items of the list are alike.
    pub(crate) is_set: bool,
    /// No two items of the list are alike in these; empty for a list that is no map.
    pub(crate) keys: Vec<String>,
}

/// A pattern, as it was written, and as it is asked.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    regex: Regex,
}

/// What else a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// An instant, as the real server reads it: with any offset of four digits.
    DateTime,
    /// An integer of 32 bits.
    Int32,
    /// An integer of 64 bits.
    Int64,
}

impl Bounds {
    /// `None` where this keyword is not known, or its value makes no sense.
    pub(crate) fn read(&mut self, keyword: &str, value: &Value) -> Option<()> {
        let size = || value.as_u64().and_then(|size| usize::try_from(size).ok());
        match keyword {
            "enum" => self.one_of.clone_from(value.as_array()?),
            "required" => self.required = texts(value)?,
            "minLength" => self.min_length = Some(size()?),
            "maxLength" => self.max_length = Some(size()?),
            "pattern" => self.pattern = Some(Pattern::read(value.as_str()?)?),
            "format" => self.format = Some(Format::read(value.as_str()?)?),
            "minItems" => self.min_items = Some(size()?),
            "maxItems" => self.max_items = Some(size()?),
            "minimum" => self.minimum = Some(value.as_number()?.clone()),
            "maximum" => self.maximum = Some(value.as_number()?.clone()),
            "maxProperties" => self.max_properties = Some(size()?),
            "x-kubernetes-list-type" => match value.as_str()? {
                "set" => self.is_set = true,
                "map" | "atomic" => {}
                _ => return None,
            },
            "x-kubernetes-list-map-keys" => self.keys = texts(value)?,
            _ => return None,
        }
        Some(())
    }
}

fn texts(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

impl Format {
    fn read(name: &str) -> Option<Self> {
        [Self::DateTime, Self::Int32, Self::Int64].into_iter().find(|format| format.name() == name)
    }

    /// As schemas name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DateTime => "date-time",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
        }
    }
}

impl Pattern {
    fn read(text: &str) -> Option<Self> {
        Some(Self { text: text.to_owned(), regex: Regex::new(&translated(text)).ok()? })
    }

    /// Whether it is found in a text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// A pattern of Go's in the spelling of the crate `regex`: there `\s`, `\d` and `\w` are ASCII, and a class holds no other class and
/// no operators.
fn translated(pattern: &str) -> String {
    let (mut out, mut within, mut rest) = (String::new(), false, pattern.chars().peekable());
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('s') => out.push_str(r"[\t\n\f\r ]"),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                escaped => out.extend(std::iter::once('\\').chain(escaped)),
            },
            '[' if within && rest.peek() != Some(&':') => out.push_str(r"\["),
            '&' | '~' if within => out.extend(['\\', c]),
            '[' => {
                within = true;
                out.push(c);
            }
            ']' => {
                within = false;
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Whether the real server takes this for a date-time: it does not look at the range of an offset.
pub(crate) fn is_date_time(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((date, rest)) = lower.split_once('t') else { return false };
    let is_two = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    let is_pair = |text: &str| text.split_once(':').is_some_and(|(a, b)| is_two(a) && is_two(b));
    let (time, offset) = rest.split_at(rest.find(['z', '+', '-']).unwrap_or(rest.len()));
    let is_offset = offset == "z" || offset.get(1..).is_some_and(is_pair);
    let mut parts = time.splitn(3, ':');
    let (Some(hour), Some(minute), Some(second), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let is_date = date.len() == 10 && date.parse::<jiff::civil::Date>().is_ok();
    let in_range = hour <= "23" && minute <= "59" && second <= "59";
    is_date && [hour, minute, second].into_iter().all(is_two) && in_range && is_fraction && is_offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_are_those_of_the_real_server() {
        for good in [
            "2026-01-31T00:00:00Z",
            "2026-01-31t23:59:59.123456789z",
            "2026-01-31T00:00:00+02:00",
            "2025-01-01T00:00:00+99:99",
        ] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "soon",
            "2026-01-31",
            "2026-02-30T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T00:00Z",
            "2026-01-31T00:00:00",
            "2026-01-31T00:00:60Z",
            "2026-01-31 00:00:00Z",
            "2026-01-31T00:00:00.Z",
            "2026-01-31T00:00:00+2:00",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
        let found = |pattern: &str, text: &str| Pattern::read(pattern).expect("a pattern").is_in(text);
        assert!(found(r"^https?://[^\s?#@]+$", "https://a.example/b") && !found(r"^[^\s]+$", "a b"));
        // ASCII alone, and no end before a line's end.
        assert!(!found(r"^\d+$", "\u{0663}") && found(r"^\d+$", "3") && !found("^a$", "a\n"));
        assert!(found(r"^[-._a-zA-Z0-9]+$", "a-b.c_D9") && found("^[&[]+$", "&[") && found(r"^\\s$", r"\s"));
        // Anywhere in the text.
        assert!(found("b", "abc"));
    }
}
