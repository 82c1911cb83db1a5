//! Lists, page by page.

use bailiwick_gateway::operations::Fault;
use bailiwick_store::PAGE_ROWS_MAX;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::cursor;

/// Items of a page when nothing is said.
const LIMIT_DEFAULT: u32 = 100;
/// Items of a page at most.
pub(crate) const LIMIT_MAX: u32 = 500;

/// Which part of a list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub(crate) limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub(crate) cursor: Option<String>,
}

/// The query of a list, whatever else it says.
pub(crate) trait Paged: Clone + Default {
    /// The same with pages as large as they may be, going on at `cursor`.
    fn at(self, cursor: Option<String>) -> Self;
}

macro_rules! paged {
    ($($query:path),* $(,)?) => { $(
        impl Paged for $query {
            fn at(self, cursor: Option<String>) -> Self {
                Self { limit: Some(Limit::MAX), cursor, ..self }
            }
        }
    )* };
}

paged!(
    super::call::CallQuery,
    super::feedback::FeedbackQuery,
    super::instruction::HistoryQuery,
    super::instruction::InstructionQuery,
    super::run::RunQuery,
);

impl Paged for ListQuery {
    fn at(self, cursor: Option<String>) -> Self {
        Self { limit: Some(Limit::MAX), cursor }
    }
}

/// A number of items.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit(u32);

impl TryFrom<u32> for Limit {
    type Error = &'static str;

    fn try_from(limit: u32) -> Result<Self, &'static str> {
        if (1..=LIMIT_MAX).contains(&limit) { Ok(Self(limit)) } else { Err("a whole number from 1 to 500") }
    }
}

impl Limit {
    /// The largest page.
    pub(crate) const MAX: Self = Self(LIMIT_MAX);
}

/// The limit that is meant.
pub(crate) fn limit(limit: Option<Limit>) -> u32 {
    limit.map_or(LIMIT_DEFAULT, |Limit(limit)| limit)
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Page<T> {
    /// The items in their order.
    pub(crate) items: Vec<T>,
    /// Give it as `cursor` for the next page; null when there is none.
    pub(crate) next_cursor: Option<String>,
}

// By hand, because what is derived for a generic type leaves the schema of its items out.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).description(Some("The items in their order."));
        let cursor = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Give it as `cursor` for the next page; null when there is none."));
        let page = ObjectBuilder::new().property("items", items).required("items").property("next_cursor", cursor);
        page.description(Some("One page of a list.")).into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

/// Which part of a list, for clients of the seed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenQuery {
    /// How many items at most; 100 when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 500)]
    limit: Option<Limit>,
    /// `next_token` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    page_token: Option<String>,
}

/// One page of a list, for clients of the seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TokenPage<T> {
    /// The items in their order.
    pub(crate) items: Vec<T>,
    /// Give it as `page_token` for the next page; null when there is none.
    pub(crate) next_token: Option<String>,
}

impl<T: ToSchema> PartialSchema for TokenPage<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).description(Some("The items in their order."));
        let token = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("Give it as `page_token` for the next page; null when there is none."));
        let page = ObjectBuilder::new().property("items", items).required("items").property("next_token", token).required("next_token");
        page.description(Some("One page of a list.")).into()
    }
}

impl<T: ToSchema> ToSchema for TokenPage<T> {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl TokenQuery {
    /// The first page, as large as it may be.
    pub(crate) fn first() -> Self {
        Self { limit: Some(Limit::MAX), page_token: None }
    }

    /// The page behind `token`, as large as it may be.
    pub(crate) fn at(token: String) -> Self {
        Self { page_token: Some(token), ..Self::first() }
    }

    /// As [`ListQuery::after`].
    ///
    /// # Errors
    /// For a token of another list.
    pub(crate) fn after(&self, operation: &str, place: &str) -> Result<String, Fault> {
        cursor::open(operation, place, self.page_token.as_deref())
    }

    /// As [`ListQuery::page`].
    pub(crate) fn page<S, T>(&self, rows: Vec<S>, at: (&str, &str), name: impl Fn(&S) -> String, show: impl Fn(S) -> T) -> TokenPage<T> {
        let Page { items, next_cursor } = ListQuery { limit: self.limit, cursor: None }.page(rows, at, name, show);
        TokenPage { items, next_token: next_cursor }
    }
}

impl ListQuery {
    /// The name behind which the page begins.
    ///
    /// # Errors
    /// For a cursor of another list.
    pub(crate) fn after(&self, operation: &str, place: &str) -> Result<String, Fault> {
        cursor::open(operation, place, self.cursor.as_deref())
    }

    /// The page from what the store gave, which is all it had or [`PAGE_ROWS_MAX`]; `name` is what it is ordered by.
    pub(crate) fn page<S, T>(
        &self,
        rows: Vec<S>,
        (operation, place): (&str, &str),
        name: impl Fn(&S) -> String,
        show: impl Fn(S) -> T,
    ) -> Page<T> {
        let limit = usize::try_from(limit(self.limit)).unwrap_or(usize::MAX);
        let full = i64::try_from(rows.len()).is_ok_and(|count| count >= PAGE_ROWS_MAX);
        let more = rows.len() > limit || full;
        let rows: Vec<S> = rows.into_iter().take(limit).collect();
        let next_cursor = rows.last().filter(|_| more).map(|last| cursor::seal(operation, place, &name(last)));
        Page { items: rows.into_iter().map(show).collect(), next_cursor }
    }
}
