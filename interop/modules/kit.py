"""What every check uses: the report, expectations of answers, a place for a module's run."""

import contextlib
import itertools
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from gateway import Gateway
from report import Report

# Reason codes as the reference names them; where two pages name one refusal differently, either counts.
OUTSIDE = {"scope_violation", "path_refused", "sql_refused", "policy_denied"}
INVALID = {"invalid_argument"}
LIMIT = {"limit_exceeded"}
UPSTREAM = {"upstream_error", "upstream_http"}
AUTH = {"upstream_auth"}
UNREACHABLE = {"upstream_unreachable"}


class World:
    """One module's run: where things are, what is reported, which secrets must not be seen."""

    def __init__(self, args, report, module, work):
        self.program, self.cache, self.report, self.module, self.work = args.gateway, args.cache, report, module, work
        self.secrets, self.hidden, self.numbers = {}, {str(work)}, itertools.count(1)
        self.loose = args.loose

    def secret(self, name, value):
        self.secrets[name] = value
        return value

    @contextlib.contextmanager
    def gateway(self, modules, env=None, **more):
        """A gateway; at the end, what it wrote is searched for the secrets."""
        number = next(self.numbers)
        with Gateway(self.program, self.work / f"gateway-{number}", modules, env, **more) as gateway:
            yield gateway
        self.check(f"run {number}: no credential and nothing of the host in any output", gateway.leak(self.secrets, self.hidden))

    def check(self, label, problem):
        self.report.check(f"{self.module}: {label}", problem)

    def same(self, label, got, expected):
        self.check(label, None if got == expected else f"expected {cut(expected)}, got {cut(got)}")

    def gives(self, label, answer, expected):
        """The call succeeded with this value; gives whether it did."""
        fine = not answer.error and not answer.is_error and self.value(answer) == expected
        self.check(label, None if fine else f"expected {cut(expected)}, got {answer.shown()}")
        return fine

    def value(self, answer):
        """The plain value of an answer."""
        if self.loose and answer.structured is None:
            try:
                return json.loads(answer.text) if answer.content else []
            except (TypeError, ValueError):
                return answer.text
        return answer.value

    def text(self, label, answer, expected):
        fine = not answer.error and not answer.is_error and answer.text == expected
        self.check(label, None if fine else f"expected the text {cut(expected)}, got {answer.shown()}")

    def refused(self, label, answer, codes):
        fine = answer.is_error and (answer.code in codes or self.loose)
        self.check(label, None if fine else f"expected {' or '.join(sorted(codes))}, got {answer.shown()}")

    def absent(self, label, answer):
        """Like a tool that does not exist."""
        fine = answer.is_error if self.loose else answer.error is not None and answer.error["code"] == -32602
        self.check(label, None if fine else f"expected error -32602, got {answer.shown()}")

    def listed(self, gateway, *names):
        own = [name for name in gateway.tools if not self.loose or name != "scoped_mcp_status"]
        missing, extra = sorted(set(names) - set(own)), sorted(set(own) - set(names))
        self.check("exactly its tools are listed", f"missing {missing}, too many {extra}" if missing or extra else None)


def cut(value):
    shown = repr(value)
    return shown if len(shown) <= 300 else f"{shown[:300]}…"


class Skips(Report):
    """A report that also knows what could not be checked. With CI=true that is a failure."""

    def __init__(self):
        super().__init__()
        self.strict = os.environ.get("CI") == "true"

    def skipped(self, label, needs):
        if self.strict:
            self.failed(label, f"needs {needs}")
        else:
            print(f"skipped: {label}: needs {needs}", flush=True)
