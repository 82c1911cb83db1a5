-- What is counted against the rates of an agent, for all gateways on this database. One row for each rate; its calls stand in `tally`.

CREATE TABLE rate_counters (
    tenant_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    counter TEXT NOT NULL,
    -- JSON; see the store's `rate/tally.rs`.
    tally TEXT NOT NULL,
    -- From then on nothing in `tally` counts any more.
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, agent_id, counter),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, agent_id) ON DELETE CASCADE
) STRICT;
