"""One line per check, one line at the end."""

SHOWN_LINES = 15


class Report:
    def __init__(self):
        self.good = self.bad = 0

    def ok(self, label):
        self.good += 1
        print(f"ok      {label}", flush=True)

    def failed(self, label, why, log=""):
        self.bad += 1
        print(f"failed  {label}: {why}", flush=True)
        for line in log.splitlines()[-SHOWN_LINES:]:
            print(f"        | {line}", flush=True)

    def check(self, label, problem):
        """`problem` is None when all is well."""
        self.ok(label) if problem is None else self.failed(label, problem)

    def close(self):
        print(f"{self.good} passed, {self.bad} failed", flush=True)
        return 0 if self.bad == 0 and self.good > 0 else 1
