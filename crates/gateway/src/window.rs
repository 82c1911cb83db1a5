//! Sliding windows for rates (reference, tool modules section 10): at most `max` calls in any stretch of `span`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The calls of one stretch of time; holds at most `max` instants.
#[derive(Debug)]
pub(crate) struct Window {
    max: usize,
    span: Duration,
    calls: VecDeque<Instant>,
}

impl Window {
    pub(crate) const fn new(max: usize, span: Duration) -> Self {
        Self { max, span, calls: VecDeque::new() }
    }

    /// How long the next call has to wait; `None` when there is room now. Counts nothing.
    pub(crate) fn wait(&mut self, now: Instant) -> Option<Duration> {
        while self.calls.front().is_some_and(|first| now.saturating_duration_since(*first) >= self.span) {
            self.calls.pop_front();
        }
        if self.calls.len() < self.max {
            return None;
        }
        // `max` of zero never frees a place: the whole span is the honest answer.
        Some(self.calls.front().map_or(self.span, |first| self.span.saturating_sub(now.saturating_duration_since(*first))))
    }

    /// Counts one call; only after [`Window::wait`] said that there is room.
    pub(crate) fn count(&mut self, now: Instant) {
        self.calls.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slides() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut window = Window::new(2, Duration::from_secs(1));
        for ms in [0, 400] {
            assert_eq!(window.wait(at(ms)), None);
            window.count(at(ms));
        }
        assert_eq!(window.wait(at(500)), Some(Duration::from_millis(500)));
        assert_eq!(window.wait(at(1000)), None, "the first call has left the window");
        window.count(at(1000));
        assert_eq!(window.wait(at(1100)), Some(Duration::from_millis(300)), "the second leaves at 1400");
        assert_eq!(Window::new(0, Duration::from_secs(1)).wait(start), Some(Duration::from_secs(1)));
    }
}
