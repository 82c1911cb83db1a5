-- While the root key is being changed, a key is wrapped by the next one as well, so that gateways with either can open it.
ALTER TABLE platform_keys ADD COLUMN next_root_key_id TEXT;
ALTER TABLE platform_keys ADD COLUMN next_wrapped BLOB;
ALTER TABLE tenant_keys ADD COLUMN next_root_key_id TEXT;
ALTER TABLE tenant_keys ADD COLUMN next_wrapped BLOB;
-- Rows are counted and moved by the key that sealed them.
CREATE INDEX secrets_by_tenant_key ON secrets (tenant_id, tenant_key);
