"""Decisions in a chain, each with a number without gaps and a hash over itself and the hash before; marks on transfers."""

from alembic import op

revision = "0038"
down_revision = "0037"

CONTENT = "jsonb_build_array(d.number, d.id, d.decided_at AT TIME ZONE 'UTC', d.who, d.what, d.subject, d.why, d.details)::text"


def upgrade() -> None:
    """Chain the decisions of before in their order, and every later decision as its transaction commits."""
    op.execute("ALTER TABLE decisions ADD number bigint UNIQUE, ADD hash text")
    op.execute(f"""
        CREATE FUNCTION decisions_chain(which bigint) RETURNS void LANGUAGE sql SET search_path = public, pg_temp AS $$
            UPDATE decisions d SET number = last.number + 1 FROM
                (SELECT coalesce(max(number), 0) AS number FROM decisions WHERE id <> which) last WHERE d.id = which;
            UPDATE decisions d SET hash = encode(sha256(convert_to(
                coalesce((SELECT b.hash FROM decisions b WHERE b.number = d.number - 1), '')
                || {CONTENT}, 'UTF8')), 'hex') WHERE d.id = which
        $$""")
    op.execute("REVOKE ALL ON FUNCTION decisions_chain FROM PUBLIC")
    op.execute("""
        DO $$ DECLARE one bigint; BEGIN
            FOR one IN SELECT id FROM decisions ORDER BY id LOOP PERFORM decisions_chain(one); END LOOP;
        END $$""")
    # With the rights of the table's owner: the application's roles may add decisions, and change none. At commit, so that no
    # transaction holds the lock while it waits for another's rows.
    op.execute(f"""
        CREATE FUNCTION decisions_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
        AS $$ BEGIN
            PERFORM pg_advisory_xact_lock({LOCK});
            PERFORM decisions_chain(NEW.id);
            RETURN NULL;
        END $$""")
    op.execute("""
        CREATE CONSTRAINT TRIGGER decisions_added AFTER INSERT ON decisions DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION decisions_added()""")
    op.execute("COMMENT ON TABLE decisions IS 'Nothing is ever changed or removed: rotation audit checks the chain.'")
    op.execute("COMMENT ON COLUMN decisions.number IS 'in the chain, without gaps, in the order of commits'")
    op.execute("COMMENT ON COLUMN decisions.hash IS 'SHA-256 over the hash before and this row'")
    op.execute("""
        CREATE TABLE transfer_marks (
            mark_id bigserial PRIMARY KEY, transfer_id text NOT NULL, copy_id text NOT NULL, kind text NOT NULL,
            who text NOT NULL, why text NOT NULL DEFAULT '', marked_at timestamptz NOT NULL, released_at timestamptz)""")
    op.execute("CREATE UNIQUE INDEX transfer_marks_once ON transfer_marks (copy_id) WHERE released_at IS NULL")
    for subject, comment in MARKS.items():
        op.execute(f"COMMENT ON {subject} IS '{comment}'")


MARKS = {
    "TABLE transfer_marks": "Transfers that people pinned or kept back: one mark a copy at a time.",
    "COLUMN transfer_marks.kind": "pinned, kept_back",
    "COLUMN transfer_marks.marked_at": "the network''s time",
}
LOCK = 7_276_012  # AdvisoryLock.DECISIONS
