-- Which definition a called tool had: the first 16 hexadecimal digits of a SHA-256 of it. NULL for what is no tool, and before this step.
ALTER TABLE events ADD COLUMN tool_revision TEXT;
