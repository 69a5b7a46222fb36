//! The versions of the API.

use http::HeaderMap;

use super::Refusal;

/// A version of the API, as the header `X-Rutter-Version` names it (Rutter's Basics page: it must be supplied).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// `2023-02-07`
    V20230207,
    /// `2023-03-14`
    V20230314,
    /// `2024-04-30`
    V20240430,
    /// `2024-08-31`
    V20240831,
}

impl Version {
    /// The version that the headers ask for.
    pub(super) fn required(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(value) = headers.get("x-rutter-version") else {
            return Err(Refusal::missing("VERSION", "the header X-Rutter-Version is required"));
        };
        match value.as_bytes() {
            b"2023-02-07" => Ok(Self::V20230207),
            b"2023-03-14" => Ok(Self::V20230314),
            b"2024-04-30" => Ok(Self::V20240430),
            b"2024-08-31" => Ok(Self::V20240831),
            _ => Err(Refusal::invalid("X-Rutter-Version names no version")),
        }
    }
}
