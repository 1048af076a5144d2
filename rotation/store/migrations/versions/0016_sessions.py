"""Sessions that the server ends, names that no two users share, and a log of tries and permissions."""

from alembic import op
from sqlalchemy import text

from rotation.accounts.names import key_of

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add tables and the users' keys; everybody signs in once more."""
    op.execute("ALTER TABLE users ADD COLUMN key text")
    op.execute("COMMENT ON COLUMN users.key IS 'the name as it is looked up; none where an older user has the same'")
    connection = op.get_bind()
    keys: set[str] = set()
    for (name,) in connection.execute(text("SELECT name FROM users ORDER BY created_at, name")).all():
        if (key := key_of(name)) not in keys:
            connection.execute(text("UPDATE users SET key = :key WHERE name = :name"), {"key": key, "name": name})
        keys.add(key)
    op.execute("CREATE UNIQUE INDEX users_by_key ON users (key)")
    op.execute("ALTER TABLE users DROP COLUMN sessions_from")  # a session that is void is marked as ended
    op.execute("""
        CREATE TABLE sessions (
            session_id text PRIMARY KEY, name text NOT NULL, since timestamptz NOT NULL, address text NOT NULL,
            ended_at timestamptz)""")
    op.execute("CREATE INDEX sessions_by_name ON sessions (name)")
    op.execute("COMMENT ON TABLE sessions IS 'Who signed in: the cookie holds a secret, this the hash of it.'")
    op.execute("COMMENT ON COLUMN sessions.session_id IS 'SHA-256 of the secret in the cookie'")
    op.execute("""
        CREATE TABLE security_log (
            minute timestamptz NOT NULL, what text NOT NULL, who text NOT NULL, address text NOT NULL,
            about text NOT NULL DEFAULT '', times bigint NOT NULL DEFAULT 1,
            PRIMARY KEY (minute, what, who, address, about))""")
    op.execute(
        "COMMENT ON TABLE security_log IS"
        " 'Who tried, was allowed and changed what, from where: equal lines of a minute are counted.'"
    )
    op.execute("COMMENT ON COLUMN security_log.who IS 'a user or token; empty: nobody known'")
    op.execute("COMMENT ON COLUMN security_log.address IS 'of the client, or command line'")
