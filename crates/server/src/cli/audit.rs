//! `bailiwick audit`: the record of everything agents did. Reading it changes nothing.

mod proof;
mod rows;

use bailiwick_model::{EventId, OrgId, Timestamp};
use bailiwick_store::event::{EVENT_PAGE_MAX, Event, EventFilter, EventPage};
use bailiwick_store::{PlatformScope, Store};
use tokio::time::{Duration, sleep};

pub(crate) use proof::verify_directory;

use super::args::{AuditCommand, CallFilter, Form};
use super::context::Context;
use super::{output, pages};
use crate::exit::{Exit, Failure};
use crate::signals::Signals;

/// How often `tail -f` looks for new rows.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(context: &Context, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify { path, trust } => return proof::verify(context, path, &trust).await,
        AuditCommand::Export { out } => return proof::export(context, out.as_deref()).await,
        _ => {}
    }
    let settings = context.settings()?;
    let (store, scope) = context.store(&settings).await?;
    let book = Book { context, store: &store, scope: &scope };
    let done = match command {
        AuditCommand::Tail { follow, lines, org } => book.tail(follow, lines, org).await,
        AuditCommand::List { filter } => book.list(filter).await,
        AuditCommand::Show { id, org } => book.show(&id, org).await,
        AuditCommand::Verify { .. } | AuditCommand::Export { .. } => Ok(()),
    };
    store.close().await;
    done
}

/// The readable rows of the organisations that were asked for.
struct Book<'a> {
    context: &'a Context,
    store: &'a Store,
    scope: &'a PlatformScope,
}

impl Book<'_> {
    async fn list(&self, filter: CallFilter) -> Result<(), Failure> {
        let CallFilter { org, agent, tool, code, failed, since, limit } = filter;
        let since = since.map(|since| since.instant(self.context.clock.now()));
        let ok = failed.then_some(false);
        let filter = EventFilter { agent_id: agent, tool, code, ok, since, ..EventFilter::default() };
        let rows = self.newest(&filter, org.as_ref(), limit).await?;
        rows::print_list(self.context.form, &rows)
    }

    async fn show(&self, id: &str, org: Option<OrgId>) -> Result<(), Failure> {
        let event = EventId::parse(id)
            .map_err(|fault| Failure::new(Exit::Usage, fault.to_string()).hint("refusals and `bailiwick audit list` give the id"))?;
        for org in pages::orgs(self.store, self.scope, org.clone()).await? {
            if let Some(row) = self.store.events().get(&self.scope.within(&org), &event).await? {
                return rows::print_one(self.context.form, &row);
            }
        }
        if let (None, Some(row)) = (&org, self.store.events().get_platform(self.scope, &event).await?) {
            return rows::print_one(self.context.form, &row);
        }
        Err(Failure::new(Exit::NotFound, format!("event `{event}` is not recorded")).hint("`bailiwick audit list` shows what is"))
    }

    async fn tail(&self, follow: bool, lines: u32, org: Option<OrgId>) -> Result<(), Failure> {
        let filter = EventFilter::default();
        let mut newest = self.newest(&filter, org.as_ref(), lines.max(1)).await?;
        let mut after = newest.first().map_or(0, |row| row.id);
        newest.truncate(usize::try_from(lines).unwrap_or(usize::MAX));
        newest.reverse();
        self.print_lines(&newest)?;
        if !follow {
            return Ok(());
        }
        let mut signals = Signals::catch()?;
        loop {
            tokio::select! {
                () = sleep(FOLLOW_EVERY) => {}
                _ = signals.next() => return Ok(()),
            }
            let mut fresh = self.collect(&filter, org.as_ref(), EventPage::After(after), EVENT_PAGE_MAX).await?;
            fresh.sort_by_key(|row| row.id);
            after = fresh.last().map_or(after, |row| row.id);
            self.print_lines(&fresh)?;
        }
    }

    fn print_lines(&self, rows: &[Event]) -> Result<(), Failure> {
        let line = |row: &Event| match self.context.form {
            Form::Json => rows::as_json(row).to_string() + "\n",
            Form::Text => rows::line(row),
        };
        output::print(&rows.iter().map(line).collect::<String>())
    }

    /// The newest rows of all organisations asked for, newest first.
    async fn newest(&self, filter: &EventFilter, org: Option<&OrgId>, limit: u32) -> Result<Vec<Event>, Failure> {
        let mut all: Vec<Event> = Vec::new();
        let mut before: Option<i64> = None;
        // Page by page, since one page of the store is shorter than a long list; every round moves `before` down or ends.
        while all.len() < limit as usize {
            let page = before.map_or(EventPage::Newest, EventPage::Before);
            let wanted = (limit - u32::try_from(all.len()).unwrap_or(limit)).min(EVENT_PAGE_MAX);
            let mut rows = self.collect(filter, org, page, wanted).await?;
            rows.sort_by_key(|row| std::cmp::Reverse(row.id));
            rows.truncate(wanted as usize);
            let Some(last) = rows.last() else { break };
            before = Some(last.id);
            all.extend(rows);
        }
        Ok(all)
    }

    /// One page of each organisation asked for; without one also of the platform's own rows.
    async fn collect(&self, filter: &EventFilter, org: Option<&OrgId>, page: EventPage, limit: u32) -> Result<Vec<Event>, Failure> {
        let mut rows = Vec::new();
        for org in pages::orgs(self.store, self.scope, org.cloned()).await? {
            rows.extend(self.store.events().list(&self.scope.within(&org), filter, page, limit).await?);
        }
        if org.is_none() {
            rows.extend(self.store.events().list_platform(self.scope, filter, page, limit).await?);
        }
        Ok(rows)
    }
}

/// A time as people read it: to the millisecond.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.strip_suffix("000Z").or_else(|| text.get(..23)).map_or(text.clone(), |short| format!("{}Z", short.trim_end_matches('Z')))
}
