//! Reading a list in pages.
//!
//! Arcus' page on pagination: `limit` (20, at most 100), `starting_after`, `ending_before`, `include_count`. That the
//! list of connectors has them, and its order (the oldest first), is inferred.

use uuid::Uuid;

use super::refusal::Refusal;
use super::row::Row;
use crate::page::fields;

const DEFAULT_LIMIT: usize = 20;
const LARGEST_LIMIT: usize = 100;

/// Which part of a list is asked for.
#[derive(Debug)]
pub(super) struct Query {
    limit: usize,
    starting_after: Option<Uuid>,
    ending_before: Option<Uuid>,
    pub(super) include_count: bool,
}

impl Query {
    pub(super) fn of(query: &str) -> Result<Self, Refusal> {
        let mut read = Self { limit: DEFAULT_LIMIT, starting_after: None, ending_before: None, include_count: false };
        for (name, value) in fields(query.as_bytes()) {
            let wrong = || Refusal::malformed(&name, "It cannot be understood.");
            match name.as_str() {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LARGEST_LIMIT).contains(limit));
                    read.limit = limit.ok_or_else(wrong)?;
                }
                "starting_after" => read.starting_after = Some(value.parse().map_err(|_| wrong())?),
                "ending_before" => read.ending_before = Some(value.parse().map_err(|_| wrong())?),
                "include_count" => read.include_count = value.parse().map_err(|_| wrong())?,
                _ => return Err(Refusal::malformed(&name, "There is no such parameter.")),
            }
        }
        if read.starting_after.is_some() && read.ending_before.is_some() {
            return Err(Refusal::malformed("ending_before", "It cannot be used together with starting_after."));
        }
        Ok(read)
    }

    /// The rows of the page, and whether there are more beyond it.
    pub(super) fn page<'a>(&self, rows: &[&'a Row]) -> Result<(Vec<&'a Row>, bool), Refusal> {
        let place = |id: Uuid, param: &str| {
            let found = rows.iter().position(|row| row.id == id);
            found.ok_or_else(|| Refusal::malformed(param, "There is no such row."))
        };
        let (begin, end) = match (self.starting_after, self.ending_before) {
            (Some(id), _) => {
                let begin = place(id, "starting_after")? + 1;
                (begin, begin.saturating_add(self.limit).min(rows.len()))
            }
            (None, Some(id)) => {
                let end = place(id, "ending_before")?;
                (end.saturating_sub(self.limit), end)
            }
            (None, None) => (0, self.limit.min(rows.len())),
        };
        let has_more = if self.ending_before.is_some() { begin > 0 } else { end < rows.len() };
        Ok((rows.get(begin..end).unwrap_or_default().to_vec(), has_more))
    }
}
