//! What may be written in a manifest and a configuration: every section with its keys, described once, beside its reader.
//!
//! Readers take known keys, words and limits from here, and the JSON Schemas and the reference pages are made from it. A key that is not
//! described cannot be read, and one that is described and not read is reported as unknown.

pub(crate) mod formats;

/// A mapping with known keys.
#[derive(Debug)]
pub(crate) struct Section {
    /// Dotted path of the mapping, `NAME` for a free key; unique.
    pub(crate) path: &'static str,
    /// One or two sentences for people.
    pub(crate) doc: &'static str,
    /// Its keys in the order of the documentation.
    pub(crate) keys: &'static [Key],
    /// Keys that a word of another key asks for.
    pub(crate) needs: &'static [Need],
    /// Keys of which one must be there.
    pub(crate) choice: Choice,
}

/// Of several keys, which must be there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// None.
    Free,
    /// Exactly one of these.
    OneOf(&'static [&'static str]),
    /// At least one of these.
    AnyOf(&'static [&'static str]),
}

/// `key` must be there when `when` has the value `word`.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) when: &'static str,
    pub(crate) word: &'static str,
    pub(crate) key: &'static str,
    pub(crate) hint: &'static str,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// One or two sentences for people.
    pub(crate) doc: &'static str,
    pub(crate) shape: Shape,
    /// Whether it must be there and not null.
    pub(crate) required: bool,
    /// What holds when it is absent, as it would be written; empty when nothing does.
    pub(crate) default: &'static str,
}

impl Key {
    pub(crate) const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, doc, shape, required: false, default: "" }
    }

    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(crate) const fn or(self, default: &'static str) -> Self {
        Self { default, ..self }
    }
}

/// What a value must be. Wherever one value is expected, text may come out of a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Text, also empty.
    Text,
    /// Text that is not blank.
    Filled,
    /// Text of a form.
    Format(&'static Format),
    /// Text, or a whole number or boolean as its text.
    Scalar,
    /// Text, a number or a boolean, each kept as what it is.
    JsonScalar,
    /// Text, or a whole number or boolean as its text, in which secrets may be named as `${secret:NAME}`.
    SecretText,
    /// `true` or `false`, also by the words of YAML 1.1.
    Boolean,
    /// A whole number.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number.
    Number,
    /// A number of seconds up to a day; from zero, or above it.
    Seconds {
        /// Whether zero is possible.
        zero: bool,
    },
    /// One of these words.
    Word(&'static [&'static str], Also),
    /// One of these words, or a mapping with known keys that says more.
    WordOr(&'static [&'static str], &'static Section),
    /// A list.
    List(&'static Shape),
    /// A list with at least one element.
    FullList(&'static Shape),
    /// A mapping with free keys.
    Entries {
        /// What keys look like.
        names: &'static Format,
        /// What values are.
        value: &'static Shape,
        /// Whether a value may be left out (`name:`).
        empty: bool,
    },
    /// A mapping with known keys.
    Section(&'static Section),
    /// The modules of a manifest, each configured as its kind says.
    Modules,
    /// The configuration of a module, described by its kind.
    Config,
    /// Any list.
    AnyList,
    /// Any mapping.
    AnyMap,
    /// Anything.
    Any,
}

/// What else stands for a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Also {
    /// Nothing.
    Nothing,
    /// The empty text, for none of them.
    Empty,
    /// `false`, which is what the older YAML makes of an unquoted `off`.
    False,
}

/// The form of a text.
#[derive(Debug)]
pub(crate) struct Format {
    /// What it is, for people.
    pub(crate) name: &'static str,
    /// A regular expression of JSON Schema that every such text matches; it may match others, which the reader refuses.
    pub(crate) pattern: &'static str,
    /// One that is accepted.
    pub(crate) example: &'static str,
}

/// The words of a table that a reader translates.
pub(crate) const fn words<T: Copy, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = table[index].0;
        index += 1;
    }
    words
}
