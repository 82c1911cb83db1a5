//! A tool module of your own: `notes` keeps short notes of one agent in memory, within limits.
//!
//! `README.md` beside this crate goes through it from top to bottom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_model::Code;
use bailiwick_modules::{
    Access, CallContext, ConfigKey, ConfigKind, ConfigReader, Hints, ModuleKind, ModuleSetup, OpenFault, Pending, ToolFault, ToolModule,
    ToolOutput, ToolSpec, decode, schema,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Most notes an operator may allow; each agent has at most this many times the longest note in memory.
const NOTES_CEILING: u64 = 10_000;
/// Longest note an operator may allow.
const NOTE_BYTES_CEILING: u64 = 64 << 10;

const KEYS: &[ConfigKey] = &[
    ConfigKey { name: "max_notes", required: false, doc: "Most notes of one agent. Default 100.", kind: ConfigKind::Integer },
    ConfigKey { name: "max_note_bytes", required: false, doc: "Longest note, in bytes. Default 4096.", kind: ConfigKind::Integer },
];

/// The module kind `notes`.
#[derive(Clone, Copy, Debug)]
pub struct NotesKind;

impl ModuleKind for NotesKind {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        KEYS
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        vec![("list", Access::Read), ("add", Access::Write), ("remove", Access::Write)]
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        let config = ConfigReader::new(setup, KEYS)?;
        Ok(Arc::new(Notes {
            notes_max: config.integer("max_notes", 100, 1, NOTES_CEILING)?,
            note_bytes_max: config.integer("max_note_bytes", 4096, 1, NOTE_BYTES_CEILING)?,
            mode: setup.access,
            shelf: Mutex::default(),
        }))
    }
}

/// The notes of one agent. Another agent gets another instance, so there is nothing to mix up.
struct Notes {
    notes_max: u64,
    note_bytes_max: u64,
    mode: Option<Access>,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    last_id: u64,
    notes: BTreeMap<u64, String>,
}

/// A call whose arguments were read and found sound.
enum Order {
    List,
    Add(String),
    Remove(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddArguments {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveArguments {
    id: u64,
}

#[derive(Serialize)]
struct Note<'a> {
    id: u64,
    text: &'a str,
}

impl Notes {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the arguments without doing anything: `confine` and `call` both begin here, so they cannot disagree.
    fn read(&self, tool: &str, arguments: &str) -> Result<Order, ToolFault> {
        let writes = self.mode != Some(Access::Read);
        match tool {
            "list" => decode(arguments).map(|NoArguments {}| Order::List),
            "add" if writes => {
                let AddArguments { text } = decode(arguments)?;
                if text.len() as u64 > self.note_bytes_max {
                    let message = format!("the note has {} bytes, more than the limit of {}", text.len(), self.note_bytes_max);
                    return Err(ToolFault::limit("max_note_bytes", self.note_bytes_max, message, "write a shorter note, or two"));
                }
                Ok(Order::Add(text))
            }
            "remove" if writes => decode(arguments).map(|RemoveArguments { id }| Order::Remove(id)),
            _ => Err(ToolFault::no_tool()),
        }
    }

    fn run(&self, order: Order) -> Result<ToolOutput, ToolFault> {
        let mut shelf = self.shelf();
        match order {
            Order::List => {
                let notes: Vec<Note<'_>> = shelf.notes.iter().map(|(id, text)| Note { id: *id, text }).collect();
                ToolOutput::json(&notes)
            }
            Order::Add(_) if shelf.notes.len() as u64 >= self.notes_max => {
                let message = format!("there are {} notes already, which is the limit", self.notes_max);
                Err(ToolFault::limit("max_notes", self.notes_max, message, "remove a note that is no longer needed"))
            }
            Order::Add(text) => {
                shelf.last_id += 1;
                let id = shelf.last_id;
                shelf.notes.insert(id, text);
                ToolOutput::json(&id)
            }
            Order::Remove(id) => match shelf.notes.remove(&id) {
                Some(_) => Ok(ToolOutput::done()),
                None => Err(ToolFault::new(Code::NotFound, format!("there is no note {id}"), "list the notes to see their ids")),
            },
        }
    }
}

impl ToolModule for Notes {
    fn tools(&self) -> Vec<ToolSpec> {
        [list_spec(), add_spec(), remove_spec()].into_iter().filter(|tool| tool.access.offered_in(self.mode)).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        self.read(tool, arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move {
            context.check()?;
            self.run(self.read(tool, arguments)?)
        })
    }
}

fn list_spec() -> ToolSpec {
    let note = schema::object(
        &[
            ("id", schema::property("integer", "Names the note.", json!({ "minimum": 1 }))),
            ("text", schema::property("string", "What was noted.", json!({}))),
        ],
        &["id", "text"],
    );
    ToolSpec {
        name: "list".into(),
        title: "List notes".into(),
        description: "Returns your notes, oldest first. They are kept until the gateway restarts.".into(),
        input_schema: schema::object(&[], &[]),
        output_schema: Some(schema::wrapped(schema::property("array", "The notes.", json!({ "items": note })))),
        access: Access::Read,
        hints: Hints::READ,
    }
}

fn add_spec() -> ToolSpec {
    ToolSpec {
        name: "add".into(),
        title: "Add a note".into(),
        description: "Keeps a short note and returns its id. Number and length of notes are limited.".into(),
        input_schema: schema::object(&[("text", schema::property("string", "What to note.", json!({})))], &["text"]),
        output_schema: Some(schema::wrapped(schema::property("integer", "The id of the new note.", json!({ "minimum": 1 })))),
        access: Access::Write,
        hints: Hints { destructive: false, idempotent: false, open_world: false },
    }
}

fn remove_spec() -> ToolSpec {
    ToolSpec {
        name: "remove".into(),
        title: "Remove a note".into(),
        description: "Forgets one note.".into(),
        input_schema: schema::object(&[("id", schema::property("integer", "The id from add or list.", json!({ "minimum": 1 })))], &["id"]),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Always true; a refusal is an error.", json!({ "const": true })))),
        access: Access::Write,
        hints: Hints { destructive: true, idempotent: false, open_world: false },
    }
}
