//! One page of instances.
//!
//! SKU.io's pages on pagination and on `DataTable` endpoints: `search`, `sort`, `limit` (10), `page` (1), `archived`.
//! That a list without `archived` leaves archived rows out, that a page holds no more than 100, and that the order is
//! that of the ids, is inferred. Parameters that no page knows are ignored.

use super::instance::Instance;

/// Rows of a page, unless asked for otherwise.
const DEFAULT_LIMIT: usize = 10;

/// No page has more rows.
const MAX_LIMIT: usize = 100;

/// What a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// In lower case.
    search: String,
    pub(super) archived: bool,
    pub(super) limit: usize,
    pub(super) page: usize,
    sort: Sort,
    descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Id,
    Name,
    CreatedAt,
}

impl Query {
    /// Reads a query string.
    pub(super) fn of(query: &str) -> Self {
        let mut asked = Self {
            search: String::new(),
            archived: false,
            limit: DEFAULT_LIMIT,
            page: 1,
            sort: Sort::Id,
            descending: false,
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "search" => asked.search = value.trim().to_lowercase(),
                "archived" => asked.archived = matches!(value.as_ref(), "1" | "true"),
                "limit" => asked.limit = positive(&value).unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT),
                "page" => asked.page = positive(&value).unwrap_or(1),
                "sort" => asked.sort_by(&value),
                _ => {}
            }
        }
        asked
    }

    fn sort_by(&mut self, value: &str) {
        let (name, descending) = value.strip_prefix('-').map_or((value, false), |name| (name, true));
        let sort = match name {
            "id" => Sort::Id,
            "name" => Sort::Name,
            "created_at" => Sort::CreatedAt,
            _ => return,
        };
        (self.sort, self.descending) = (sort, descending);
    }

    /// Whether a row is searched for.
    pub(super) fn finds(&self, instance: &Instance) -> bool {
        self.search.is_empty() || instance.folded_name.contains(&self.search)
    }

    /// Puts rows in order, which come in that of their ids.
    pub(super) fn put_in_order(&self, rows: &mut [&Instance]) {
        match self.sort {
            Sort::Id => {}
            Sort::Name => rows.sort_by(|one, other| one.folded_name.cmp(&other.folded_name)),
            // A stable sort keeps the ids in order.
            Sort::CreatedAt => rows.sort_by_key(|row| row.created_at),
        }
        if self.descending {
            rows.reverse();
        }
    }
}

fn positive(value: &str) -> Option<usize> {
    value.parse().ok().filter(|number| *number > 0)
}
