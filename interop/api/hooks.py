"""What schemathesis must not send: what would take its own key away, and what the document says in words only."""
import json

import schemathesis

# The agent of the key; disabling it, taking its role or its keys away ends the run in a long row of 401.
OWN_AGENT, OTHER_AGENT = "boss", "worker"
# Hidden characters for which no escape is common to the readers of patterns (see the description of `Line`).
BEYOND = [(0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)]
OWN_KEYS = set()


@schemathesis.hook
def filter_case(context, case):
    texts = json.dumps([as_json(case.body), as_json(case.query)], ensure_ascii=False)
    return not any(first <= ord(c) <= last for c in texts for first, last in BEYOND)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Turns what would end the run elsewhere."""
    path = case.path_parameters or {}
    if path.get("agent_id") == OWN_AGENT and case.method.upper() == "PATCH":
        path["agent_id"] = OTHER_AGENT
    if path.get("key_id") in OWN_KEYS and case.method.upper() in ("DELETE", "POST"):
        path["key_id"] = "0123456789abcdef"


@schemathesis.hook
def after_call(context, case, response):
    """Remembers the ids of the own keys: a run finds them only in lists."""
    if response.status_code == 200 and case.operation.path.endswith("/keys"):
        OWN_KEYS.update(key["id"] for key in response.json()["items"] if key["agent_id"] == OWN_AGENT)


def as_json(value):
    return value if isinstance(value, (str, int, float, bool, type(None), list, dict)) else repr(value)
