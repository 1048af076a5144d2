"""The tables. Facts are sets that only grow (movements, hold_facts, transfer_facts, crate_facts); the rest is derived or decided.

Every fact carries (occurred_at, sequence, source, event_id), the order that decides the present.
Times are UTC instants. Ids are those of the network file, the library system or our own orders.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from sqlalchemy import (
    ARRAY,
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

from rotation.facts.hand_work import HandWork
from rotation.facts.lifecycle import (
    HUB_WORK,
    ON_ITS_WAY,
    WANTS_VISIT,
    AlertKind,
    AlertStep,
    ChannelKind,
    CrateState,
    DayPlanState,
    LegKind,
    LegState,
    PlaceNoticeKind,
    ReturnRuleKind,
    RunState,
    StopState,
    TargetKind,
    TransferKind,
    TransferMarkKind,
    TransferState,
    listed,
)
from rotation.facts.parts import Deed, Part
from rotation.facts.write_back import WriteBackFault, WriteBackKind

metadata = MetaData()
Instant = DateTime(timezone=True)
Key = Text(collation="C")  # compared byte by byte, as Python compares strings: the order of facts is the same in both


def listing(words: Iterable[StrEnum]) -> str:
    """Return the comment of a column that holds these words."""
    return ", ".join(words)


def _order() -> list[Column[object]]:
    """Return the columns by which facts of a subject are ordered."""
    return [
        Column("occurred_at", Instant, nullable=False),
        Column("sequence", Integer, nullable=False, server_default="0"),
        Column("source", Key, nullable=False),
        Column("event_id", Key, nullable=False),
    ]


# --- Facts, and how far they are read ---------------------------------------------------------------------------------------

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
    Column(
        "counted_from",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="the offset from which on events are counted",
    ),
    Column(
        "events",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="those from there on whose outcome is known: applied, duplicate, late or rejected",
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
    Index("crate_facts_closed", "occurred_at", postgresql_where=text(f"type = '{CrateState.CLOSED}'")),
    Index("crate_facts_by_run", "run_id", postgresql_where=text("run_id IS NOT NULL")),
    comment="Every scan of a crate, once.",
)

machine_facts = Table(
    "machine_facts",
    metadata,
    Column("place_id", Key, primary_key=True),
    Column("occurred_at", Instant, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("source", Key, primary_key=True),
    Column("event_id", Key, primary_key=True),
    Column("bin_copies", Integer, nullable=False),
    Column("free_slots", Integer, nullable=False),
    Column("fault", Text),
    comment="Every report of a self-service machine, once; old ones are forgotten.",
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

topics_read = Table(
    "topics_read",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("cluster_id", Text, nullable=False),
    Column("topic_id", Text, nullable=False),
    Column("partitions", Integer, nullable=False),
    Column(
        "findings",
        JSONB,
        nullable=False,
        server_default=text("'[]'"),
        comment="what a worker found otherwise when it last looked",
    ),
    comment="The topic that progress counts, as it was when a worker first read it.",
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

# --- The present ---------------------------------------------------------------------------------------------------------

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

shelvings = Table(
    "shelvings",
    metadata,
    Column("copy_id", Key, primary_key=True),
    Column("told_at", Instant, nullable=False, comment="time of the copy.added or copy.corrected that said so"),
    Column("call_number", Key, nullable=False, server_default=""),
    Column("room", Key, nullable=False, server_default=""),
    Column("collection", Key, nullable=False, server_default=""),
    Column("shelf", Key, nullable=False, server_default="", comment="the mark of the shelf"),
    Column("barcode", Key, nullable=False, server_default="", comment="empty: the copy's id is its barcode"),
    Index("shelvings_by_barcode", "barcode", postgresql_where=text("barcode <> ''")),
    comment="Where each copy stands below its place, as was said last; empty words where nothing was.",
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

machines = Table(
    "machines",
    metadata,
    Column("place_id", Key, primary_key=True),
    *_order(),
    Column("bin_copies", Integer, nullable=False),
    Column("free_slots", Integer, nullable=False),
    Column("fault", Text),
    comment="Each self-service machine as its last report has it.",
)

crates = Table(
    "crates",
    metadata,
    Column("crate_id", Key, primary_key=True),
    *_order(),
    Column("type", Text, nullable=False, comment=f"its last scan: {listing(CrateState)}"),
    Column("place_id", Text, nullable=False, comment="where it was scanned last"),
    Column("to_place_id", Text),
    Column("run_id", Text),
    Column("copies", JSONB),
    Index("crates_by_time", "occurred_at"),
)

# --- Decisions --------------------------------------------------------------------------------------------------------

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
    Column("kind", Text, nullable=False, comment=listing(TransferKind)),
    Column("status", Text, nullable=False, comment=listing(TransferState)),
    Column("plan_id", Text),
    Column("set_id", Text, comment="the set that asked for it"),
    Column("day", Date, comment="the day it is to be collected"),
    Column("gain_loans", Double),
    Column("reason", JSONB, nullable=False, comment="code and the numbers that decided it"),
    Column("created_at", Instant, nullable=False, comment="the network's time"),
    Column("changed_at", Instant, nullable=False, comment="the network's time of its last scan or decision"),
    Column("crate_id", Text),
    Column("promised_on", Date, comment="the day of its last leg as first planned: when it should have arrived"),
    Index("transfers_by_copy", "copy_id"),
    Index("transfers_open", "status", "from_place_id"),
    Index("transfers_under_way", "title_id", postgresql_where=text(f"status IN ({listed(ON_ITS_WAY)})")),
    Index("transfers_of_sets", "set_id", postgresql_where=text("set_id IS NOT NULL")),
)

day_plans = Table(
    "day_plans",
    metadata,
    Column("day_plan_id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("hub_id", Text, nullable=False),
    Column("status", Text, nullable=False, comment=listing(DayPlanState)),
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
    Column("status", Text, nullable=False, comment=listing(RunState)),
    Column("revision", Integer, nullable=False, server_default="0", comment="how often it was ordered"),
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
    Column("status", Text, nullable=False, server_default=StopState.PLANNED, comment=listing(StopState)),
    Column("done_at", Instant),
)

legs = Table(
    "legs",
    metadata,
    Column("transfer_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("kind", Text, nullable=False, comment=listing(LegKind)),
    Column("from_place_id", Text, nullable=False),
    Column("to_place_id", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("run_id", Text),
    Column("crate_id", Text),
    Column("status", Text, nullable=False, server_default=LegState.PLANNED, comment=listing(LegState)),
    Index("legs_by_day", "day", "kind", "from_place_id"),
)

hub_orders = Table(
    "hub_orders",
    metadata,
    Column("kind", Text, primary_key=True, comment=listing(HUB_WORK)),
    Column("hub_id", Text, primary_key=True),
    Column("to_hub_id", Text, primary_key=True, comment="empty: a sort"),
    Column("due_at", Instant, primary_key=True, comment="when it is sorted, or the trunk leaves"),
    Column("day", Date, nullable=False),
    comment="What hubs were ordered to sort and send on, each once.",
)

plan_drafts = Table(
    "plan_drafts",
    metadata,
    Column("day_plan_id", Text, primary_key=True),
    Column("plan_version", Integer, nullable=False, comment="of the plan that they began from"),
    Column("version", Integer, nullable=False, server_default="1", comment="for edits that meet"),
    Column("edits", JSONB, nullable=False, comment="in order; those after the applied ones were undone"),
    Column("applied", Integer, nullable=False, comment="how many of them count"),
    Column("who", Text, nullable=False, comment="who made the last change"),
    Column("changed_at", Instant, nullable=False, comment="the network's time"),
    comment="Changes to a hub's plan that nobody has accepted yet.",
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
    Column("number", BigInteger, unique=True, comment="in the chain, without gaps, in the order of commits"),
    Column("hash", Text, comment="SHA-256 over the hash before and this row"),
    comment="Nothing is ever changed or removed: rotation audit checks the chain.",
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
    Column("kind", Text, nullable=False, comment=listing(AlertKind)),
    Column("place_id", Text, nullable=False),
    Column("class", Text, nullable=False, server_default="", comment="empty: of the whole place"),
    Column("opened_at", Instant, nullable=False, comment="the network's time"),
    Column("closed_at", Instant),
    Column("changed_at", Instant, nullable=False),
    Column("numbers", JSONB, nullable=False, comment="level, target, count, oldest: what decided it"),
    Index("alerts_one_open", "kind", "place_id", "class", unique=True, postgresql_where=text("closed_at IS NULL")),
    Index("alerts_by_time", "opened_at"),
)

alert_thresholds = Table(
    "alert_thresholds",
    metadata,
    Column("threshold_id", BigInteger, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False, comment=listing(AlertKind)),
    Column("tier", Text, nullable=False, server_default="", comment="empty: of all"),
    Column("class", Text, nullable=False, server_default="", comment="empty: of all"),
    Column("value", Integer, nullable=False, comment="percent, days or hours, by the kind"),
    Column("who", Text, nullable=False),
    Column("set_at", Instant, nullable=False, comment="the network's time"),
    Column("ended_by", Text, comment="who set another, or went back to the usual"),
    Column("ended_at", Instant, comment="the network's time"),
    Index("alert_thresholds_one", "kind", "tier", "class", unique=True, postgresql_where=text("ended_at IS NULL")),
    comment="From which figure on an alert opens, as people set it; what ended is history.",
)

alert_steps = Table(
    "alert_steps",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("alert_id", BigInteger, nullable=False),
    Column("step", Text, nullable=False, comment=listing(AlertStep)),
    Column("who", Text, nullable=False),
    Column("at", Instant, nullable=False, comment="the network's time"),
    Column("until", Instant, comment="of snoozed: when it comes back"),
    Column("assignee", Text, comment="of assigned: who has it"),
    Column("comment", Text, nullable=False, server_default=""),
    Index("alert_steps_of", "alert_id", "id"),
    comment="What people did about alerts, in order; nothing is changed or deleted here but with its alert.",
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

lanes = Table(
    "lanes",
    metadata,
    Column("from_place_id", Text, primary_key=True),
    Column("to_place_id", Text, primary_key=True),
    Column("journeys", Integer, nullable=False),
    Column("median_s", Double, nullable=False, comment="half of the journeys took no longer"),
    Column("nine_in_ten_s", Double, nullable=False, comment="nine in ten took no longer"),
    Column("promised", Integer, nullable=False, comment="journeys for which a day was promised"),
    Column("kept", Integer, nullable=False, comment="and that came by that day"),
    Column("counted_at", Instant, nullable=False, comment="the network's time"),
    comment="How long copies take from a place to a place, counted from the last quarter's journeys.",
)

daily_figures = Table(
    "daily_figures",
    metadata,
    Column("day", Date, primary_key=True),
    Column("figure", Text, primary_key=True),
    Column("by", Text, primary_key=True, comment="all, tier, place or class"),
    Column("subject", Text, primary_key=True, comment="tier, place or class; empty: of all"),
    Column("class", Text, primary_key=True, server_default="", comment="of a shelf's level"),
    Column("amount", Double, nullable=False),
    Column("base", Double, nullable=False, comment="a figure is its amount over its base"),
    Column("counted_at", Instant, nullable=False, server_default=text("now()")),
    comment="Key figures as they were counted each day.",
)

city_counts = Table(
    "city_counts",
    metadata,
    Column("place_id", Text, primary_key=True),
    Column("month", Date, primary_key=True, comment="its first day"),
    Column("visits", Integer, comment="people who came in"),
    Column("satisfaction", Double, comment="0 to 100, the mean of those who answered"),
    Column("answers", Integer, comment="how many answered"),
    Column("who", Text, nullable=False),
    Column("counted_at", Instant, nullable=False, server_default=text("now()")),
    comment="What the city counts itself: visits at the gate, and what readers say.",
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

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="the message's id in the outbox"),
    Column("topic", Text, nullable=False),
    Column("key", Text),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("reason", Text, nullable=False, comment="Kafka's words"),
    Column("set_aside_at", Instant, nullable=False, server_default=text("now()")),
    comment=(
        "Messages of the outbox that Kafka refuses for good: set aside, until a person sends them again or drops them."
    ),
)

order_targets = Table(
    "order_targets",
    metadata,
    Column("target_id", Text, primary_key=True),
    Column("kind", Text, nullable=False, comment=listing(TargetKind)),
    Column("address", Text, nullable=False, comment="a webhook's URL, or a folder"),
    Column("added_by", Text, nullable=False),
    Column("added_at", Instant, nullable=False, server_default=text("now()")),
    Column("ended_at", Instant),
    comment="Where orders go besides Kafka.",
)

target_secrets = Table(
    "target_secrets",
    metadata,
    Column("target_id", Text, primary_key=True),
    Column("secret", Text, nullable=False, comment="whsec_ and base64, as Standard Webhooks write it"),
    comment="What webhooks are signed with.",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", BigInteger, primary_key=True, autoincrement=True),
    Column("target_id", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the order as JSON"),
    Column("written_at", Instant, nullable=False, server_default=text("now()")),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False, server_default=text("now()"), comment="the wall clock"),
    Column("file", Text, comment="of a folder: the file that it is written in"),
    Column("answer", Text, nullable=False, server_default="", comment="what the last try was answered"),
    Column("done_at", Instant),
    Column("dead_at", Instant, comment="given up: a person may send it again"),
    Index("deliveries_open", "target_id", "next_at", postgresql_where=text("done_at IS NULL AND dead_at IS NULL")),
    comment="Orders on their way to each target: written with the order, deleted weeks after they were delivered.",
)

channels = Table(
    "channels",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("kind", Text, nullable=False, comment=listing(ChannelKind)),
    Column("name", Text, nullable=False),
    Column("shown", Text, nullable=False, comment="its address without what is secret"),
    Column("language", Text, nullable=False, comment="zh or en"),
    Column("kinds", JSONB, nullable=False, comment="of alerts; empty: all"),
    Column("quiet_from", Text, nullable=False, server_default="", comment="local time; empty: never quiet"),
    Column("quiet_to", Text, nullable=False, server_default=""),
    Column(
        "after_hours",
        Integer,
        nullable=False,
        server_default="0",
        comment="only alerts that nobody took for so long: escalation",
    ),
    Column("digest_at", Text, nullable=False, server_default="", comment="local time of the daily digest; empty: none"),
    Column("alerts", Boolean, nullable=False, server_default="true", comment="false: the digest alone"),
    Column("since", Instant, nullable=False, comment="the network's time: older alerts are not sent"),
    Column("added_by", Text, nullable=False),
    Column("ended_at", Instant),
    comment="Where alerts and digests go besides the page.",
)

channel_secrets = Table(
    "channel_secrets",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("address", Text, nullable=False, comment="whole, with keys and passwords"),
    comment="Addresses of channels: no page shows them.",
)

channel_alerts = Table(
    "channel_alerts",
    metadata,
    Column("channel_id", Text, primary_key=True),
    Column("alert_id", BigInteger, primary_key=True),
    comment="Which alerts were written to which channel: each once.",
)

channel_messages = Table(
    "channel_messages",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=True),
    Column("channel_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("day", Date, comment="of a digest"),
    Column("written_at", Instant, nullable=False, server_default=text("now()")),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False, server_default=text("now()"), comment="the wall clock"),
    Column("answer", Text, nullable=False, server_default="", comment="what the last try was answered"),
    Column("done_at", Instant),
    Column("dead_at", Instant, comment="given up: a person may send it again"),
    Index(
        "channel_messages_open", "channel_id", "next_at", postgresql_where=text("done_at IS NULL AND dead_at IS NULL")
    ),
    comment="Messages on their way to channels; deleted weeks after they were sent.",
)

write_back_switches = Table(
    "write_back_switches",
    metadata,
    Column("system", Text, primary_key=True),
    Column("kinds", ARRAY(Text), nullable=False, comment=listing(WriteBackKind)),
    Column("places", ARRAY(Text), nullable=False, comment="the places that the library system knows"),
    comment="What is written back to each library system: by its process from its map, at each start.",
)

write_backs = Table(
    "write_backs",
    metadata,
    Column("write_back_id", BigInteger, primary_key=True, autoincrement=True),
    Column("system", Text, nullable=False),
    Column("kind", Text, nullable=False, comment=listing(WriteBackKind)),
    Column("copy_id", Key, nullable=False),
    Column("place_id", Text, nullable=False, comment="where it is checked in, held for, or at home"),
    Column("transfer_id", Text),
    Column("cause", Text, nullable=False, comment="the event or transfer that asks for it: each asks once"),
    Column("at", Instant, nullable=False, comment="the network's time of its cause"),
    Column("asked_at", Instant, nullable=False, server_default=text("now()")),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False, server_default=text("now()"), comment="the wall clock"),
    Column("before", Text, comment="what the library system said before it was first asked: begun where this is set"),
    Column("fault", Text, comment=listing(WriteBackFault)),
    Column("answer", Text, nullable=False, server_default="", comment="the library system's last words"),
    Column("answer_id", Text, comment="its id there; null: none was given"),
    Column("done_at", Instant),
    Column("refused_at", Instant, comment="a person must look"),
    Column("left_by", Text, comment="who left it undone"),
    Index("write_backs_cause", "system", "kind", "copy_id", "cause", unique=True),
    Index("write_backs_open", "copy_id", postgresql_where=text("done_at IS NULL")),
    Index("write_backs_by_transfer", "transfer_id", postgresql_where=text("transfer_id IS NOT NULL")),
    comment="Orders and scans as the library system's own check-ins, holds and homes; deleted weeks after they were done.",
)

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("part", Text, primary_key=True, comment=listing(Part)),
    Column("name", Text, primary_key=True, comment="of a feed: its source; else empty"),
    Column("member", Text, primary_key=True, comment="machine and process"),
    Column("beat_at", Instant, nullable=False, comment="when it last went on, by the database's clock"),
    Column("deed", Text, nullable=False, comment=listing(Deed)),
    Column("about", Text, nullable=False, server_default="", comment="how many, or which day"),
    Column("deed_at", Instant, nullable=False),
    comment="That each part goes on: written by itself every few seconds, deleted when it stops in order.",
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    comment="What is kept between runs and is no fact: the city's checkpoint, cursors of adapters.",
)

item_copies = Table(
    "item_copies",
    metadata,
    Column("source", Text, primary_key=True),
    Column("item", BigInteger, primary_key=True, comment="the library system's own number, which never changes"),
    Column("copy_id", Key, nullable=False, comment="the barcode that the item had when it was first read"),
    Column("barcode", Text, comment="the present barcode"),
    Index("item_copies_by_copy", "source", "copy_id", unique=True),
    Index("item_copies_by_barcode", "barcode"),
    comment="Which copy an item of a library system is, whatever its barcode becomes.",
)

told_holds = Table(
    "told_holds",
    metadata,
    Column("source", Text, primary_key=True),
    Column("hold", BigInteger, primary_key=True, comment="the library system's own number"),
    Column("told", JSONB, nullable=False, comment="event type, title, place and copy, as last sent"),
    Column("told_at", Instant, nullable=False, comment="the time of that event"),
    comment="Open holds as last told, so that one that vanishes without a trace is missed.",
)

# --- What hands did ---------------------------------------------------------------------------------------------------

scans = Table(
    "scans",
    metadata,
    Column("scan_id", Key, primary_key=True, comment="made where it was scanned: the same scan sent twice counts once"),
    Column("work", Text, nullable=False, comment=listing(HandWork)),
    Column("place_id", Text, nullable=False, comment="where it was scanned"),
    Column("run_id", Text),
    Column("code", Text, nullable=False, comment="as scanned"),
    Column("who", Text, nullable=False),
    Column("at", Instant, nullable=False, comment="the network's time when it was scanned"),
    Column("received_at", Instant, nullable=False, comment="the network's time when it reached the server"),
    Column("subject", Text, nullable=False, server_default="", comment="transfer, copy or crate that it was about"),
    Column("answer", JSONB, nullable=False, comment="what the page said: a code, its tone, and the words' values"),
    Index("scans_by_place", "place_id", "at"),
    Index("scans_by_time", "at", postgresql_using="brin"),
    Index("scans_by_subject", "subject", postgresql_where=text("subject <> ''")),
    comment="Every scan and count of a page for hands, with who and where; its facts go the way of all events.",
)

photos = Table(
    "photos",
    metadata,
    Column("photo_id", Key, primary_key=True, comment="made on the phone: the same photo sent twice counts once"),
    Column("run_id", Text, nullable=False),
    Column("place_id", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("at", Instant, nullable=False, comment="the network's time"),
    Column(
        "received_at",
        Instant,
        nullable=False,
        server_default=text("now()"),
        comment="the wall clock, by which it is forgotten",
    ),
    Column("note", Text, nullable=False, server_default=""),
    Column("jpeg", LargeBinary, nullable=False),
    Index("photos_by_run", "run_id"),
    comment="Photos that drivers took where something was wrong: drawn anew, so that nothing but the picture is kept.",
)

machine_visits = Table(
    "machine_visits",
    metadata,
    Column("day", Date, primary_key=True),
    Column("place_id", Text, primary_key=True),
    Column("why", Text, nullable=False, comment=listing(WANTS_VISIT)),
    Column("numbers", JSONB, nullable=False, comment="what the machine had reported"),
    Column("crates", ARRAY(Text), nullable=False, comment="numbers of the crates that its bin fills"),
    comment="Why a van calls at a self-service machine on a day, beside the copies that it brings or fetches.",
)

place_notices = Table(
    "place_notices",
    metadata,
    Column("notice_id", BigInteger, primary_key=True, autoincrement=True),
    Column("place_id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment=listing(PlaceNoticeKind)),
    Column("class", Text, nullable=False, server_default="", comment="empty: of the whole place"),
    Column("copies", Integer, comment="about how many too many, or too few"),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("why", Text, nullable=False, server_default=""),
    Column("who", Text, nullable=False),
    Column("told_at", Instant, nullable=False, comment="the network's time"),
    Column("withdrawn_at", Instant),
    Index("place_notices_standing", "last_day", postgresql_where=text("withdrawn_at IS NULL")),
    comment="What places said of themselves, which the next night heeds: too full, too empty, closed.",
)

transfer_marks = Table(
    "transfer_marks",
    metadata,
    Column("mark_id", BigInteger, primary_key=True, autoincrement=True),
    Column("transfer_id", Text, nullable=False),
    Column("copy_id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment=listing(TransferMarkKind)),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False, server_default=""),
    Column("marked_at", Instant, nullable=False, comment="the network's time"),
    Column("released_at", Instant),
    Index("transfer_marks_once", "copy_id", unique=True, postgresql_where=text("released_at IS NULL")),
    comment="Transfers that people pinned or kept back: one mark a copy at a time.",
)

return_rules = Table(
    "return_rules",
    metadata,
    Column("rule_id", BigInteger, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False, comment=listing(ReturnRuleKind)),
    Column(
        "place_id",
        Text,
        nullable=False,
        server_default="",
        comment="where the copy is returned, for at_most where it would go; empty: everywhere",
    ),
    Column("class", Text, nullable=False, server_default="", comment="empty: of any class"),
    Column("title_id", Text, nullable=False, server_default="", comment="empty: of any title"),
    Column("copies", Integer, comment="at_most: so many of a title at a place"),
    Column("who", Text, nullable=False),
    Column("set_at", Instant, nullable=False, comment="the network's time"),
    Column("ended_at", Instant),
    comment="What librarians decided of returned copies, whatever the prices say.",
)

# --- Who may -----------------------------------------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password_hash", Text, nullable=False, comment="argon2id"),
    Column("role", Text, nullable=False, comment="branch, hub, driver, viewer, dispatcher, administrator"),
    Column("places", JSONB, comment="the only places that the user works at, for a driver hubs; null: everywhere"),
    Column(
        "must_change", Boolean, nullable=False, server_default="false", comment="signed in with a one-time password"
    ),
    Column("created_at", Instant, nullable=False, server_default=text("now()")),
    Column("removed_at", Instant),
    Column("key", Text, comment="the name as it is looked up; none where an older user has the same"),
    Index("users_by_key", "key", unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Text, primary_key=True, comment="SHA-256 of the secret in the cookie"),
    Column("name", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("address", Text, nullable=False),
    Column("ended_at", Instant),
    Index("sessions_by_name", "name"),
    comment="Who signed in: the cookie holds a secret, this the hash of it.",
)

answers = Table(
    "answers",
    metadata,
    Column("key", Text, primary_key=True, comment="SHA-256 of credentials, address and key"),
    Column("content", Text, nullable=False),
    Column("status", Integer, comment="none: it is being done"),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("at", Instant, nullable=False, server_default=text("now()")),
    Index("answers_by_time", "at"),
    comment="Answers of a day to requests with an Idempotency-Key: sent twice, done once.",
)

security_log = Table(
    "security_log",
    metadata,
    Column("minute", Instant, primary_key=True),
    Column("what", Text, primary_key=True),
    Column("who", Text, primary_key=True, comment="a user or token; empty: nobody known"),
    Column("address", Text, primary_key=True, comment="of the client, or command line"),
    Column("about", Text, primary_key=True, server_default=""),
    Column("times", BigInteger, nullable=False, server_default="1"),
    comment="Who tried, was allowed and changed what, from where: equal lines of a minute are counted.",
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the secret: random, so that it needs no salt"),
    Column("role", Text, nullable=False, comment="desk, viewer, dispatcher, administrator"),
    Column("places", JSONB, comment="the only places that the machine works at; null: everywhere"),
    Column("scopes", JSONB, comment="what it may do of what its role may; null: all"),
    Column("about", Text, nullable=False, comment="which machine uses it"),
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=text("now()")),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    comment="Bearer tokens of machines: desks, sorters, reports.",
)

run_links = Table(
    "run_links",
    metadata,
    Column("link_id", Text, primary_key=True),
    Column("hash", LargeBinary, nullable=False, comment="SHA-256 of the secret: random, so that it needs no salt"),
    Column("run_id", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", Instant, nullable=False, comment="the network's time"),
    Column("ends_at", Instant, nullable=False, comment="the network's time: the end of the run's day"),
    Column("withdrawn_at", Instant),
    comment="Links that open a single run to whoever has them: for drivers of other companies.",
)

network_changes = Table(
    "network_changes",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=True),
    Column("version", Text, nullable=False, unique=True, comment="random: no two databases share one"),
    Column("holds_from", Date, nullable=False),
    Column("made_at", Instant, nullable=False, comment="the network's time"),
    Column("who", Text, nullable=False),
    Column(
        "text", Text, comment="a whole network (TOML) that takes the place of what held before; null: changes alone"
    ),
    Column("changes", JSONB, nullable=False, comment="tables, ids and their fields' new values"),
    Column("file_digest", Text, comment="SHA-256 of ROTATION_NETWORK's file that was taken, or looked at and left"),
    Column("why", Text, nullable=False, server_default=""),
    comment="The network as pages changed it: no row, and the file holds; nothing is ever changed or removed.",
)

desk_answers = Table(
    "desk_answers",
    metadata,
    Column("copy_id", Key, primary_key=True),
    Column("place_id", Key, primary_key=True, comment="where the copy was returned"),
    Column("day", Date, primary_key=True, comment="the network's"),
    Column("title_id", Text, nullable=False),
    Column("at", Instant, nullable=False, comment="the network's time"),
    Column("answered_by", Text, nullable=False, comment="desk_rule, own_rule (held back at random), shadow"),
    Column("desk_to", Text, nullable=False, comment="where the desk's rule sends it"),
    Column("own_to", Text, nullable=False, comment="where the library system's own rule sends it"),
    Column("code", Text, nullable=False, comment="the desk rule's reason"),
    Index("desk_answers_by_time", "at"),
    comment="The desk's answers while its rule is measured or only watched.",
)

# --- Which words a column may hold -------------------------------------------------------------------------------------------

WORDS: Mapping[Column[object], Iterable[StrEnum]] = {
    transfers.c.status: TransferState,
    transfers.c.kind: TransferKind,
    day_plans.c.status: DayPlanState,
    runs.c.status: RunState,
    stops.c.status: StopState,
    legs.c.status: LegState,
    legs.c.kind: LegKind,
    hub_orders.c.kind: HUB_WORK,
    crates.c.type: CrateState,
    alerts.c.kind: AlertKind,
    alert_thresholds.c.kind: AlertKind,
    order_targets.c.kind: TargetKind,
    channels.c.kind: ChannelKind,
    alert_steps.c.step: AlertStep,
    heartbeats.c.part: Part,
    heartbeats.c.deed: Deed,
    scans.c.work: HandWork,
    write_backs.c.kind: WriteBackKind,
    write_backs.c.fault: WriteBackFault,
    place_notices.c.kind: PlaceNoticeKind,
    machine_visits.c.why: WANTS_VISIT,
    return_rules.c.kind: ReturnRuleKind,
}
CHECKS = {
    column: CheckConstraint(f"{column.name} IN ({listed(words)})", name=f"{column.table.name}_{column.name}_known")
    for column, words in WORDS.items()
}
for _column, _check in CHECKS.items():
    _column.table.append_constraint(_check)
