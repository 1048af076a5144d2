CREATE TABLE alerts (
	alert_id BIGSERIAL NOT NULL, 
	kind TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	class TEXT DEFAULT '' NOT NULL, 
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	closed_at TIMESTAMP WITH TIME ZONE, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	numbers JSONB NOT NULL, 
	PRIMARY KEY (alert_id)
);

CREATE INDEX alerts_by_time ON alerts (opened_at);

CREATE UNIQUE INDEX alerts_one_open ON alerts (kind, place_id, class) WHERE closed_at IS NULL;

COMMENT ON COLUMN alerts.kind IS 'shortage, surplus, stale, overdue, unfair, silent, feed';

COMMENT ON COLUMN alerts.class IS 'empty: of the whole place';

COMMENT ON COLUMN alerts.opened_at IS 'the network''s time';

COMMENT ON COLUMN alerts.numbers IS 'level, target, count, oldest: what decided it';

CREATE TABLE clock (
	id SMALLINT DEFAULT '1' NOT NULL, 
	network_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	wall_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	speed DOUBLE PRECISION NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT one_clock CHECK (id = 1)
);

COMMENT ON COLUMN clock.network_at IS 'the network''s time at wall_at';

COMMENT ON COLUMN clock.speed IS 'network seconds a second; 0: stands still, 1: the wall clock';

CREATE TABLE copies (
	copy_id TEXT COLLATE "C" NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sequence INTEGER DEFAULT '0' NOT NULL, 
	source TEXT COLLATE "C" NOT NULL, 
	event_id TEXT COLLATE "C" NOT NULL, 
	state TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	to_place_id TEXT, 
	title_id TEXT, 
	class TEXT, 
	owner_id TEXT, 
	home_place_id TEXT, 
	fixed BOOLEAN DEFAULT 'false' NOT NULL, 
	added_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (copy_id)
)
 WITH (fillfactor = 70);

CREATE INDEX copies_by_place ON copies (place_id);

CREATE INDEX copies_on_the_way ON copies (to_place_id) WHERE to_place_id IS NOT NULL;

CREATE INDEX copies_unlisted ON copies (copy_id) WHERE title_id IS NULL;

COMMENT ON TABLE copies IS 'Each copy''s last movement, and what its newest copy.added said.';

COMMENT ON COLUMN copies.title_id IS 'null: unlisted, heard of before its copy.added';

COMMENT ON COLUMN copies.home_place_id IS 'where it was added';

CREATE TABLE counts (
	name TEXT NOT NULL, 
	value BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (name)
);

COMMENT ON TABLE counts IS 'What became of every event read, moved in the transaction that writes it; events_in is their sum.';

COMMENT ON COLUMN counts.name IS 'applied, duplicates, late, rejected';

CREATE TABLE crate_facts (
	crate_id TEXT COLLATE "C" NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sequence INTEGER NOT NULL, 
	source TEXT COLLATE "C" NOT NULL, 
	event_id TEXT COLLATE "C" NOT NULL, 
	type TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	to_place_id TEXT, 
	run_id TEXT, 
	copies JSONB, 
	PRIMARY KEY (crate_id, occurred_at, sequence, source, event_id)
);

COMMENT ON TABLE crate_facts IS 'Every scan of a crate, once.';

CREATE TABLE crates (
	crate_id TEXT COLLATE "C" NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sequence INTEGER DEFAULT '0' NOT NULL, 
	source TEXT COLLATE "C" NOT NULL, 
	event_id TEXT COLLATE "C" NOT NULL, 
	type TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	to_place_id TEXT, 
	run_id TEXT, 
	copies JSONB, 
	PRIMARY KEY (crate_id)
);

COMMENT ON COLUMN crates.type IS 'its last scan';

COMMENT ON COLUMN crates.place_id IS 'where it was scanned last';

CREATE TABLE day_plans (
	day_plan_id TEXT NOT NULL, 
	day DATE NOT NULL, 
	hub_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	problem JSONB NOT NULL, 
	solution JSONB NOT NULL, 
	evaluation JSONB NOT NULL, 
	unserved JSONB NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	version INTEGER DEFAULT '1' NOT NULL, 
	PRIMARY KEY (day_plan_id)
);

CREATE UNIQUE INDEX day_plans_once ON day_plans (day, hub_id);

COMMENT ON COLUMN day_plans.status IS 'draft, approved, sent_back, ordered, done';

COMMENT ON COLUMN day_plans.unserved IS 'each with its reason';

COMMENT ON COLUMN day_plans.created_at IS 'the network''s time';

COMMENT ON COLUMN day_plans.version IS 'for edits that meet';

CREATE TABLE decisions (
	id BIGSERIAL NOT NULL, 
	decided_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	who TEXT NOT NULL, 
	what TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	why TEXT, 
	details JSONB, 
	PRIMARY KEY (id)
);

COMMENT ON COLUMN decisions.what IS 'approve, send_back, lock, move, ...';

COMMENT ON COLUMN decisions.subject IS 'run, hub and day, or day';

CREATE TABLE feeds (
	source TEXT NOT NULL, 
	last_event_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	last_heard_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	events BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (source)
);

COMMENT ON TABLE feeds IS 'Each source''s last event.';

COMMENT ON COLUMN feeds.last_event_at IS 'the event''s own time';

COMMENT ON COLUMN feeds.last_heard_at IS 'when it was written here';

CREATE TABLE hold_facts (
	hold_id TEXT COLLATE "C" NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sequence INTEGER NOT NULL, 
	source TEXT COLLATE "C" NOT NULL, 
	event_id TEXT COLLATE "C" NOT NULL, 
	type TEXT NOT NULL, 
	title_id TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	copy_id TEXT, 
	PRIMARY KEY (hold_id, occurred_at, sequence, source, event_id)
);

COMMENT ON TABLE hold_facts IS 'Every fact about a hold, once.';

CREATE TABLE holds (
	hold_id TEXT COLLATE "C" NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sequence INTEGER DEFAULT '0' NOT NULL, 
	source TEXT COLLATE "C" NOT NULL, 
	event_id TEXT COLLATE "C" NOT NULL, 
	type TEXT NOT NULL, 
	title_id TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	copy_id TEXT, 
	PRIMARY KEY (hold_id)
);

CREATE INDEX holds_waiting ON holds (title_id) WHERE type = 'hold.placed';

COMMENT ON COLUMN holds.type IS 'its last fact: hold.placed is waiting';

CREATE TABLE legs (
	transfer_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	from_place_id TEXT NOT NULL, 
	to_place_id TEXT NOT NULL, 
	day DATE NOT NULL, 
	run_id TEXT, 
	crate_id TEXT, 
	status TEXT DEFAULT 'planned' NOT NULL, 
	PRIMARY KEY (transfer_id, position)
);

CREATE INDEX legs_by_day ON legs (day, kind, from_place_id);

COMMENT ON COLUMN legs.kind IS 'collect, sort, trunk, deliver';

COMMENT ON COLUMN legs.status IS 'planned, done, missed';

CREATE TABLE movements (
	copy_id TEXT COLLATE "C" NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sequence INTEGER NOT NULL, 
	source TEXT COLLATE "C" NOT NULL, 
	event_id TEXT COLLATE "C" NOT NULL, 
	state TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	to_place_id TEXT, 
	PRIMARY KEY (copy_id, occurred_at, sequence, source, event_id)
);

COMMENT ON TABLE movements IS 'Every fact about a copy, once.';

CREATE TABLE outbox (
	id BIGSERIAL NOT NULL, 
	topic TEXT NOT NULL, 
	key TEXT, 
	value BYTEA NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	PRIMARY KEY (id)
);

COMMENT ON TABLE outbox IS 'What must reach Kafka: written with what it tells of, sent and deleted by streams.relay.';

CREATE TABLE places_heard (
	place_id TEXT NOT NULL, 
	last_event_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	PRIMARY KEY (place_id)
);

COMMENT ON TABLE places_heard IS 'When each place was last heard of: what its silence is counted from.';

COMMENT ON COLUMN places_heard.last_event_at IS 'the event''s own time, within ten minutes';

CREATE TABLE plans (
	plan_id TEXT NOT NULL, 
	day DATE NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	snapshot_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	seed INTEGER NOT NULL, 
	moves INTEGER NOT NULL, 
	value_loans DOUBLE PRECISION NOT NULL, 
	bound_loans DOUBLE PRECISION NOT NULL, 
	seconds DOUBLE PRECISION NOT NULL, 
	details JSONB NOT NULL, 
	PRIMARY KEY (plan_id), 
	UNIQUE (day)
);

COMMENT ON COLUMN plans.details IS 'gap, price of a move, floors, shadow prices of limits, purchase and weeding';

CREATE TABLE progress (
	topic TEXT NOT NULL, 
	partition INTEGER NOT NULL, 
	next_offset BIGINT NOT NULL, 
	gap_offsets BIGINT DEFAULT '0' NOT NULL, 
	PRIMARY KEY (topic, partition)
);

COMMENT ON TABLE progress IS 'How far each partition is in the database; moved in the transaction that writes the batch.';

COMMENT ON COLUMN progress.gap_offsets IS 'offsets that Kafka itself no longer holds (retention, transactions): passed over, never silently';

CREATE TABLE rates (
	plan_id TEXT NOT NULL, 
	arrays BYTEA NOT NULL, 
	PRIMARY KEY (plan_id)
);

COMMENT ON COLUMN rates.arrays IS 'numpy .npz of the night''s demand, for placement';

CREATE TABLE rejections (
	id BIGSERIAL NOT NULL, 
	topic TEXT NOT NULL, 
	partition INTEGER NOT NULL, 
	"offset" BIGINT NOT NULL, 
	index INTEGER NOT NULL, 
	reason TEXT NOT NULL, 
	field TEXT NOT NULL, 
	message TEXT NOT NULL, 
	original BYTEA NOT NULL, 
	rejected_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	replayed_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (id)
);

CREATE UNIQUE INDEX rejections_once ON rejections (topic, partition, "offset", index);

COMMENT ON COLUMN rejections.topic IS 'a Kafka topic, or the edge that refused it (http, file:NAME)';

CREATE TABLE runs (
	run_id TEXT NOT NULL, 
	day_plan_id TEXT NOT NULL, 
	day DATE NOT NULL, 
	hub_id TEXT NOT NULL, 
	van_id TEXT NOT NULL, 
	status TEXT NOT NULL, 
	departs_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	returns_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	distance_m INTEGER NOT NULL, 
	cost_cents INTEGER NOT NULL, 
	largest_load_crates INTEGER NOT NULL, 
	PRIMARY KEY (run_id)
);

CREATE INDEX runs_by_day ON runs (day, hub_id);

COMMENT ON COLUMN runs.status IS 'draft, approved, ordered, under_way, done';

CREATE TABLE settings (
	name TEXT NOT NULL, 
	value JSONB NOT NULL, 
	PRIMARY KEY (name)
);

COMMENT ON TABLE settings IS 'What is kept between runs and is no fact: the city''s checkpoint, cursors of adapters.';

CREATE TABLE shelf_prices (
	place_id TEXT NOT NULL, 
	class TEXT NOT NULL, 
	price_loans DOUBLE PRECISION NOT NULL, 
	plan_id TEXT NOT NULL, 
	PRIMARY KEY (place_id, class)
);

COMMENT ON TABLE shelf_prices IS 'The last night''s prices, which placement uses all day.';

COMMENT ON COLUMN shelf_prices.price_loans IS 'what one more copy of the class costs there, in expected loans';

CREATE TABLE stops (
	run_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	place_id TEXT NOT NULL, 
	arrives_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	begins_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	departs_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	deliver_crates INTEGER NOT NULL, 
	collect_crates INTEGER NOT NULL, 
	load_after_crates INTEGER NOT NULL, 
	status TEXT DEFAULT 'planned' NOT NULL, 
	done_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (run_id, position)
);

COMMENT ON COLUMN stops.status IS 'planned, done, missed';

CREATE TABLE targets (
	place_id TEXT NOT NULL, 
	class TEXT NOT NULL, 
	low INTEGER NOT NULL, 
	high INTEGER NOT NULL, 
	PRIMARY KEY (place_id, class)
);

COMMENT ON TABLE targets IS 'Levels between which a place''s stock of a class is in balance; set by the night''s plan, or by the network file.';

COMMENT ON COLUMN targets.low IS 'fewer on the shelf: shortage';

COMMENT ON COLUMN targets.high IS 'more on the shelf: surplus';

CREATE TABLE titles (
	title_id TEXT NOT NULL, 
	class TEXT NOT NULL, 
	name TEXT, 
	told_at TIMESTAMP WITH TIME ZONE DEFAULT '-infinity' NOT NULL, 
	PRIMARY KEY (title_id)
);

COMMENT ON COLUMN titles.told_at IS 'time of the copy.added that said so';

CREATE TABLE transfer_facts (
	transfer_id TEXT COLLATE "C" NOT NULL, 
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	sequence INTEGER NOT NULL, 
	source TEXT COLLATE "C" NOT NULL, 
	event_id TEXT COLLATE "C" NOT NULL, 
	type TEXT NOT NULL, 
	copy_id TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	to_place_id TEXT, 
	crate_id TEXT, 
	reason TEXT, 
	PRIMARY KEY (transfer_id, occurred_at, sequence, source, event_id)
);

COMMENT ON TABLE transfer_facts IS 'Every scan of a transfer, once.';

CREATE TABLE transfers (
	transfer_id TEXT COLLATE "C" NOT NULL, 
	copy_id TEXT NOT NULL, 
	title_id TEXT, 
	from_place_id TEXT NOT NULL, 
	to_place_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	status TEXT NOT NULL, 
	plan_id TEXT, 
	day DATE, 
	gain_loans DOUBLE PRECISION, 
	reason JSONB NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	changed_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	crate_id TEXT, 
	PRIMARY KEY (transfer_id)
);

CREATE INDEX transfers_by_copy ON transfers (copy_id);

CREATE INDEX transfers_open ON transfers (status, from_place_id);

CREATE INDEX transfers_under_way ON transfers (title_id) WHERE status IN ('ordered', 'picked', 'sent');

COMMENT ON COLUMN transfers.kind IS 'pick, placement, shipment (a hold), home';

COMMENT ON COLUMN transfers.status IS 'proposed, approved, ordered, picked, sent, received; declined, missed, cancelled, lost';

COMMENT ON COLUMN transfers.day IS 'the day it is to be collected';

COMMENT ON COLUMN transfers.reason IS 'code and the numbers that decided it';

COMMENT ON COLUMN transfers.created_at IS 'the network''s time';

COMMENT ON COLUMN transfers.changed_at IS 'the network''s time of its last scan or decision';
