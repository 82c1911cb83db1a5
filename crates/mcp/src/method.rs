//! Method names of the protocol, all revisions (reference, protocol sections 2.6 and 3).

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// The constant equal to `name`, so that a known method is kept without an allocation.
        #[must_use]
        pub fn known(name: &str) -> Option<&'static str> {
            match name {
                $($text => Some($text),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const ALL: &[&str] = &[$($text),*];
    };
}

methods! {
    /// Modern: what a server offers.
    DISCOVER = "server/discover";
    /// Legacy: opens a conversation.
    INITIALIZE = "initialize";
    /// Legacy: the client is ready.
    INITIALIZED = "notifications/initialized";
    /// Legacy: are you there.
    PING = "ping";
    /// Tools of the caller.
    TOOLS_LIST = "tools/list";
    /// One tool call.
    TOOLS_CALL = "tools/call";
    /// Prompts of the caller.
    PROMPTS_LIST = "prompts/list";
    /// One prompt.
    PROMPTS_GET = "prompts/get";
    /// Resources of the caller.
    RESOURCES_LIST = "resources/list";
    /// URI templates.
    RESOURCE_TEMPLATES_LIST = "resources/templates/list";
    /// One resource.
    RESOURCES_READ = "resources/read";
    /// Legacy: watch a resource.
    RESOURCES_SUBSCRIBE = "resources/subscribe";
    /// Legacy: stop watching.
    RESOURCES_UNSUBSCRIBE = "resources/unsubscribe";
    /// Argument completion.
    COMPLETE = "completion/complete";
    /// Modern: the stream of changes.
    LISTEN = "subscriptions/listen";
    /// Legacy: log threshold.
    SET_LEVEL = "logging/setLevel";
    /// Tasks: state of one.
    TASKS_GET = "tasks/get";
    /// Tasks extension: give input to one.
    TASKS_UPDATE = "tasks/update";
    /// Tasks: end one.
    TASKS_CANCEL = "tasks/cancel";
    /// 2025-11-25 tasks: wait for the result of one.
    TASKS_RESULT = "tasks/result";
    /// 2025-11-25 tasks: all of them.
    TASKS_LIST = "tasks/list";
    /// Server to client, legacy: let the model answer.
    SAMPLING = "sampling/createMessage";
    /// Server to client, legacy: ask the user.
    ELICITATION = "elicitation/create";
    /// Server to client, legacy: which folders.
    ROOTS_LIST = "roots/list";
    /// A request is given up.
    CANCELLED = "notifications/cancelled";
    /// How far a request is.
    PROGRESS = "notifications/progress";
    /// A log line.
    LOG_MESSAGE = "notifications/message";
    /// The tools changed.
    TOOLS_CHANGED = "notifications/tools/list_changed";
    /// The prompts changed.
    PROMPTS_CHANGED = "notifications/prompts/list_changed";
    /// The resources changed.
    RESOURCES_CHANGED = "notifications/resources/list_changed";
    /// A watched resource changed.
    RESOURCE_UPDATED = "notifications/resources/updated";
    /// Legacy: the client's folders changed.
    ROOTS_CHANGED = "notifications/roots/list_changed";
    /// Modern: what a listen request was granted.
    LISTEN_ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
    /// 2025-11-25: the user has finished at the URL.
    ELICITATION_COMPLETE = "notifications/elicitation/complete";
    /// 2025-11-25 tasks: a task moved on.
    TASKS_STATUS = "notifications/tasks/status";
}

/// True for methods that existed before 2026-07-28 and are gone: with modern metadata they are answered with -32601 and 404.
#[must_use]
pub fn removed_in_modern(method: &str) -> bool {
    matches!(
        method,
        INITIALIZE | PING | SET_LEVEL | RESOURCES_SUBSCRIBE | RESOURCES_UNSUBSCRIBE | INITIALIZED | ROOTS_CHANGED | ELICITATION_COMPLETE
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_gives_the_same_text_and_knows_no_other() {
        for name in ALL {
            assert_eq!(known(name), Some(*name));
        }
        assert_eq!(known("tools/Call"), None);
        assert_eq!(known(""), None);
    }

    #[test]
    fn the_modern_core_is_not_removed() {
        let core = [
            DISCOVER,
            TOOLS_LIST,
            TOOLS_CALL,
            PROMPTS_LIST,
            PROMPTS_GET,
            RESOURCES_LIST,
            RESOURCE_TEMPLATES_LIST,
            RESOURCES_READ,
            COMPLETE,
            LISTEN,
            CANCELLED,
        ];
        assert!(core.into_iter().all(|method| !removed_in_modern(method)));
        assert_eq!(ALL.iter().filter(|method| removed_in_modern(method)).count(), 8);
    }
}
