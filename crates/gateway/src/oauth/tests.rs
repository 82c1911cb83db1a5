//! The client against fake providers.
