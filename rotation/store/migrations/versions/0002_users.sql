CREATE TABLE users (
	name TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	role TEXT NOT NULL, 
	must_change BOOLEAN DEFAULT 'false' NOT NULL, 
	sessions_from TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	removed_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (name)
);

COMMENT ON COLUMN users.password_hash IS 'argon2id';

COMMENT ON COLUMN users.role IS 'viewer, dispatcher, administrator';

COMMENT ON COLUMN users.must_change IS 'signed in with a one-time password';

COMMENT ON COLUMN users.sessions_from IS 'cookies signed before are void';

CREATE TABLE tokens (
	token_id TEXT NOT NULL, 
	hash BYTEA NOT NULL, 
	role TEXT NOT NULL, 
	about TEXT NOT NULL, 
	created_by TEXT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	expires_at TIMESTAMP WITH TIME ZONE, 
	revoked_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (token_id)
);

COMMENT ON TABLE tokens IS 'Bearer tokens of machines: desks, sorters, reports.';

COMMENT ON COLUMN tokens.hash IS 'SHA-256 of the secret: random, so that it needs no salt';

COMMENT ON COLUMN tokens.role IS 'desk, viewer, dispatcher, administrator';

COMMENT ON COLUMN tokens.about IS 'which machine uses it';
