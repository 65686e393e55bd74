-- How full the context of each session is, as far as its agent tells.

ALTER TABLE agent_sessions ADD COLUMN context_tokens INTEGER;
