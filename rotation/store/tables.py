"""The tables. Facts are sets that only grow (movements, hold_facts, transfer_facts, crate_facts); the rest is derived or decided.

Every fact carries (occurred_at, sequence, source, event_id), the order that decides what holds now.
Times are UTC instants. Ids are those of the network file, the library system or our own orders.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()
Instant = DateTime(timezone=True)
Key = Text(collation="C")  # compared byte by byte, as Python compares strings: the order of facts is the same in both


def _order() -> list[Column[object]]:
    """Return the columns by which facts of one subject are ordered."""
    return [
        Column("occurred_at", Instant, nullable=False),
        Column("sequence", Integer, nullable=False, server_default="0"),
        Column("source", Key, nullable=False),
        Column("event_id", Key, nullable=False),
    ]


# --- What was told ----------------------------------------------------------------------------------------------------------

progress = Table(
    "progress",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column(
        "gap_offsets",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="offsets that Kafka itself no longer holds (retention, transactions): passed over, never silently",
    ),
    Column("middle_at", Instant, comment="when the middle one of the last batch's events happened"),
    Column("written_at", Instant, comment="when the last batch was written, by the wall clock"),
    comment="How far each partition is in the database; moved in the transaction that writes the batch.",
)

movements = Table(
    "movements",
    metadata,
    Column("copy_id", Key, primary_key=True),
    Column("occurred_at", Instant, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("source", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("state", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("to_place_id", Text),
    comment="Every fact about a copy, once.",
)

hold_facts = Table(
    "hold_facts",
    metadata,
    Column("hold_id", Key, primary_key=True),
    Column("occurred_at", Instant, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("source", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("type", Text, nullable=False),
    Column("title_id", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("copy_id", Text),
    comment="Every fact about a hold, once.",
)

transfer_facts = Table(
    "transfer_facts",
    metadata,
    Column("transfer_id", Key, primary_key=True),
    Column("occurred_at", Instant, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("source", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("type", Text, nullable=False),
    Column("copy_id", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("to_place_id", Text),
    Column("crate_id", Text),
    Column("reason", Text),
    comment="Every scan of a transfer, once.",
)

crate_facts = Table(
    "crate_facts",
    metadata,
    Column("crate_id", Key, primary_key=True),
    Column("occurred_at", Instant, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("source", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("type", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("to_place_id", Text),
    Column("run_id", Text),
    Column("copies", JSONB),
    comment="Every scan of a crate, once.",
)

rejections = Table(
    "rejections",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False, comment="a Kafka topic, or the edge that refused it (http, file:NAME)"),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("index", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("original", LargeBinary, nullable=False),
    Column("rejected_at", Instant, nullable=False, server_default=text("now()")),
    Column("replayed_at", Instant),
    Index("rejections_once", "topic", "partition", "offset", "index", unique=True),
)

counts = Table(
    "counts",
    metadata,
    Column("name", Text, primary_key=True, comment="applied, duplicates, late, rejected"),
    Column("value", BigInteger, nullable=False, server_default="0"),
    comment="What became of every event read, moved in the transaction that writes it; events_in is their sum.",
)

feeds = Table(
    "feeds",
    metadata,
    Column("source", Text, primary_key=True),
    Column("last_event_at", Instant, nullable=False, comment="the event's own time"),
    Column("last_heard_at", Instant, nullable=False, comment="when it was written here"),
    Column("events", BigInteger, nullable=False, server_default="0"),
    comment="Each source's last event.",
)

places_heard = Table(
    "places_heard",
    metadata,
    Column("place_id", Text, primary_key=True),
    Column("last_event_at", Instant, nullable=False, comment="the event's own time, within ten minutes"),
    comment="When each place was last heard of: what its silence is counted from.",
)

# --- What holds now ---------------------------------------------------------------------------------------------------------

clock = Table(
    "clock",
    metadata,
    Column("id", SmallInteger, primary_key=True, server_default="1"),
    Column("network_at", Instant, nullable=False, comment="the network's time at wall_at"),
    Column("wall_at", Instant, nullable=False),
    Column("speed", Double, nullable=False, comment="network seconds a second; 0: stands still, 1: the wall clock"),
    CheckConstraint("id = 1", name="one_clock"),
)

titles = Table(
    "titles",
    metadata,
    Column("title_id", Text, primary_key=True),
    Column("class", Text, nullable=False),
    Column("name", Text),
    Column(
        "told_at",
        Instant,
        nullable=False,
        server_default=text("'-infinity'"),
        comment="time of the copy.added that said so",
    ),
    Column("volume_of", Text, comment="the work of several volumes that it is one of"),
)

copies = Table(
    "copies",
    metadata,
    Column("copy_id", Key, primary_key=True),
    *_order(),
    Column("state", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("to_place_id", Text),
    Column("title_id", Text, comment="null: unlisted, heard of before its copy.added"),
    Column("class", Text),
    Column("owner_id", Text),
    Column("home_place_id", Text, comment="where it was added"),
    Column("fixed", Boolean, nullable=False, server_default="false"),
    Column("added_at", Instant),
    Index("copies_by_place", "place_id", "class"),
    Index("copies_unlisted", "copy_id", postgresql_where=text("title_id IS NULL")),
    Index("copies_on_the_way", "to_place_id", postgresql_where=text("to_place_id IS NOT NULL")),
    comment="Each copy's last movement, and what its newest copy.added said.",
    postgresql_with={
        "fillfactor": 70
    },  # room for the next states of a row on its own page: updates that touch no index
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Key, primary_key=True),
    *_order(),
    Column("type", Text, nullable=False, comment="its last fact: hold.placed is waiting"),
    Column("title_id", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("copy_id", Text),
    Index("holds_waiting", "title_id", postgresql_where=text("type = 'hold.placed'")),
)

crates = Table(
    "crates",
    metadata,
    Column("crate_id", Key, primary_key=True),
    *_order(),
    Column("type", Text, nullable=False, comment="its last scan"),
    Column("place_id", Text, nullable=False, comment="where it was scanned last"),
    Column("to_place_id", Text),
    Column("run_id", Text),
    Column("copies", JSONB),
)

# --- What is decided --------------------------------------------------------------------------------------------------------

plans = Table(
    "plans",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("day", Date, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False, server_default=text("now()")),
    Column("snapshot_at", Instant, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("moves", Integer, nullable=False),
    Column("value_loans", Double, nullable=False),
    Column("bound_loans", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column(
        "details",
        JSONB,
        nullable=False,
        comment="gap, price of a move, floors, shadow prices of limits, purchase and weeding",
    ),
)

shelf_prices = Table(
    "shelf_prices",
    metadata,
    Column("place_id", Text, primary_key=True),
    Column("class", Text, primary_key=True),
    Column(
        "price_loans", Double, nullable=False, comment="what one more copy of the class costs there, in expected loans"
    ),
    Column("plan_id", Text, nullable=False),
    comment="The last night's prices, which placement uses all day.",
)

rates = Table(
    "rates",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("arrays", LargeBinary, nullable=False, comment="numpy .npz of the night's demand, for placement"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("transfer_id", Key, primary_key=True),
    Column("copy_id", Text, nullable=False),
    Column("title_id", Text),
    Column("from_place_id", Text, nullable=False),
    Column("to_place_id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="pick, placement, shipment (a hold), home"),
    Column(
        "status",
        Text,
        nullable=False,
        comment="proposed, approved, ordered, picked, sent, received; declined, missed, cancelled, lost; "
        "held_back: left undone at random, to be compared with the others",
    ),
    Column("plan_id", Text),
    Column("set_id", Text, comment="the set that asked for it"),
    Column("day", Date, comment="the day it is to be collected"),
    Column("gain_loans", Double),
    Column("reason", JSONB, nullable=False, comment="code and the numbers that decided it"),
    Column("created_at", Instant, nullable=False, comment="the network's time"),
    Column("changed_at", Instant, nullable=False, comment="the network's time of its last scan or decision"),
    Column("crate_id", Text),
    Index("transfers_by_copy", "copy_id"),
    Index("transfers_open", "status", "from_place_id"),
    Index("transfers_under_way", "title_id", postgresql_where=text("status IN ('ordered', 'picked', 'sent')")),
    Index("transfers_of_sets", "set_id", postgresql_where=text("set_id IS NOT NULL")),
)

day_plans = Table(
    "day_plans",
    metadata,
    Column("day_plan_id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("hub_id", Text, nullable=False),
    Column("status", Text, nullable=False, comment="draft, approved, sent_back, ordered, done"),
    Column("problem", JSONB, nullable=False),
    Column("solution", JSONB, nullable=False),
    Column("evaluation", JSONB, nullable=False),
    Column("unserved", JSONB, nullable=False, comment="each with its reason"),
    Column("created_at", Instant, nullable=False, comment="the network's time"),
    Column("version", Integer, nullable=False, server_default="1", comment="for edits that meet"),
    Index("day_plans_once", "day", "hub_id", unique=True),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("day_plan_id", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("hub_id", Text, nullable=False),
    Column("van_id", Text, nullable=False),
    Column("status", Text, nullable=False, comment="draft, approved, ordered, under_way, done"),
    Column("departs_at", Instant, nullable=False),
    Column("returns_at", Instant, nullable=False),
    Column("distance_m", Integer, nullable=False),
    Column("cost_cents", Integer, nullable=False),
    Column("largest_load_crates", Integer, nullable=False),
    Index("runs_by_day", "day", "hub_id"),
)

stops = Table(
    "stops",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("place_id", Text, nullable=False),
    Column("arrives_at", Instant, nullable=False),
    Column("begins_at", Instant, nullable=False),
    Column("departs_at", Instant, nullable=False),
    Column("deliver_crates", Integer, nullable=False),
    Column("collect_crates", Integer, nullable=False),
    Column("load_after_crates", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="planned", comment="planned, done, missed"),
    Column("done_at", Instant),
)

legs = Table(
    "legs",
    metadata,
    Column("transfer_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", Text, nullable=False, comment="collect, sort, trunk, deliver"),
    Column("from_place_id", Text, nullable=False),
    Column("to_place_id", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("run_id", Text),
    Column("crate_id", Text),
    Column("status", Text, nullable=False, server_default="planned", comment="planned, done, missed"),
    Index("legs_by_day", "day", "kind", "from_place_id"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("decided_at", Instant, nullable=False, server_default=text("now()")),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False, comment="approve, send_back, lock, move, ..."),
    Column("subject", Text, nullable=False, comment="run, hub and day, or day"),
    Column("why", Text),
    Column("details", JSONB),
)

sets = Table(
    "sets",
    metadata,
    Column("set_id", Text, primary_key=True),
    Column("place_id", Text, nullable=False),
    Column("titles", JSONB, comment="ids of titles, one copy of each; null where a class is asked for"),
    Column("class", Text),
    Column("copies", Integer, nullable=False, comment="how many in all"),
    Column("due", Date, nullable=False, comment="to stand there by this day"),
    Column("return_on", Date, comment="from this day on its copies go where they are worth most; null: they stay"),
    Column("note", Text, nullable=False, server_default="", comment="what it is for"),
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Instant, nullable=False, comment="the network's time"),
    Column("cancelled_at", Instant),
    comment="Sets asked for: an exhibition, a school's deposit, opening stock. A transfer of one names it.",
)

visits = Table(
    "visits",
    metadata,
    Column("place_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("announced_at", Instant, nullable=False, comment="the network's time"),
    Column("plan_id", Text, nullable=False),
    Column("take", Integer, nullable=False, comment="copies that the announced list has to fetch"),
    Column("bring", Integer, nullable=False, comment="and to bring, with what was on its way"),
    comment="Visits by appointment: a van calls at such a place on these days only.",
)

wanted_places = Table(
    "wanted_places",
    metadata,
    Column("copy_id", Text, primary_key=True),
    Column("place_id", Text, nullable=False),
    comment="What stock.targets says of each copy that is wanted elsewhere than where it counts.",
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", BigInteger, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False, comment="shortage, surplus, stale, overdue, unfair, silent, feed"),
    Column("place_id", Text, nullable=False),
    Column("class", Text, nullable=False, server_default="", comment="empty: of the whole place"),
    Column("opened_at", Instant, nullable=False, comment="the network's time"),
    Column("closed_at", Instant),
    Column("changed_at", Instant, nullable=False),
    Column("numbers", JSONB, nullable=False, comment="level, target, count, oldest: what decided it"),
    Index("alerts_one_open", "kind", "place_id", "class", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("alerts_by_time", "opened_at"),
)

targets = Table(
    "targets",
    metadata,
    Column("place_id", Text, primary_key=True),
    Column("class", Text, primary_key=True),
    Column("low", Integer, nullable=False, comment="fewer on the shelf: shortage"),
    Column("high", Integer, nullable=False, comment="more on the shelf: surplus"),
    comment="Levels between which a place's stock of a class is in balance; set by the night's plan, or by the network file.",
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("key", Text),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=text("now()")),
    comment="What must reach Kafka: written with what it tells of, sent and deleted by streams.relay.",
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    comment="What is kept between runs and is no fact: the city's checkpoint, cursors of adapters.",
)

# --- Who may -----------------------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password_hash", Text, nullable=False, comment="argon2id"),
    Column("role", Text, nullable=False, comment="viewer, dispatcher, administrator"),
    Column(
        "must_change", Boolean, nullable=False, server_default="false", comment="signed in with a one-time password"
    ),
    Column(
        "sessions_from", Instant, nullable=False, server_default=text("now()"), comment="cookies signed before are void"
    ),
    Column("created_at", Instant, nullable=False, server_default=text("now()")),
    Column("removed_at", Instant),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the secret: random, so that it needs no salt"),
    Column("role", Text, nullable=False, comment="desk, viewer, dispatcher, administrator"),
    Column("about", Text, nullable=False, comment="which machine uses it"),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=text("now()")),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    comment="Bearer tokens of machines: desks, sorters, reports.",
)
