CREATE TABLE sets (
	set_id TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	titles JSONB, 
	class TEXT, 
	copies INTEGER NOT NULL, 
	due DATE NOT NULL, 
	return_on DATE, 
	note TEXT DEFAULT '' NOT NULL, 
	asked_by TEXT NOT NULL, 
	asked_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	cancelled_at TIMESTAMP WITH TIME ZONE, 
	PRIMARY KEY (set_id)
);

COMMENT ON TABLE sets IS 'Sets asked for: an exhibition, a school''s deposit, opening stock. A transfer of one names it.';

COMMENT ON COLUMN sets.titles IS 'ids of titles, one copy of each; null where a class is asked for';

COMMENT ON COLUMN sets.copies IS 'how many in all';

COMMENT ON COLUMN sets.due IS 'to stand there by this day';

COMMENT ON COLUMN sets.return_on IS 'from this day on its copies go where they are worth most; null: they stay';

COMMENT ON COLUMN sets.note IS 'what it is for';

COMMENT ON COLUMN sets.asked_at IS 'the network''s time';

CREATE TABLE wanted_places (
	copy_id TEXT NOT NULL, 
	place_id TEXT NOT NULL, 
	PRIMARY KEY (copy_id)
);

COMMENT ON TABLE wanted_places IS 'What stock.targets says of each copy that is wanted elsewhere than where it counts.';

ALTER TABLE transfers ADD COLUMN set_id TEXT;

CREATE INDEX transfers_of_sets ON transfers (set_id) WHERE set_id IS NOT NULL;

COMMENT ON COLUMN transfers.set_id IS 'the set that asked for it';

COMMENT ON COLUMN transfers.status IS 'proposed, approved, ordered, picked, sent, received; declined, missed, cancelled, lost; held_back: left undone at random, to be compared with the others';
