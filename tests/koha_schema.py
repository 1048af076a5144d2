# ruff: noqa: E501
"""Koha's tables that the adapter reads, or whose keys change what it reads: all their columns, keys and cascades, in our own writing.

`NEWEST` is the shape of the releases of 2025 and 2026. `TO_20_11` takes it back to 20.11, the oldest that is read: each difference is a
statement of its own. Readers' tables stand as far as keys lead there. Columns of the same name mean the same in all releases.
"""

from collections.abc import Sequence

# Columns of an item, which `deleteditems` has too.
_ITEM = """
  itemnumber int NOT NULL AUTO_INCREMENT PRIMARY KEY, biblionumber int NOT NULL DEFAULT 0, biblioitemnumber int NOT NULL DEFAULT 0,
  barcode varchar(20), bookable tinyint(1), dateaccessioned date, booksellerid longtext, homebranch varchar(10),
  price decimal(8,2), replacementprice decimal(8,2), replacementpricedate date, datelastborrowed datetime, datelastseen datetime,
  stack tinyint(1), notforloan tinyint NOT NULL DEFAULT 0, damaged tinyint NOT NULL DEFAULT 0, damaged_on datetime,
  itemlost tinyint NOT NULL DEFAULT 0, itemlost_on datetime, withdrawn tinyint NOT NULL DEFAULT 0, withdrawn_on datetime,
  itemcallnumber varchar(255), coded_location_qualifier varchar(10), issues smallint DEFAULT 0, renewals smallint,
  localuse smallint, reserves smallint, restricted tinyint, itemnotes longtext, itemnotes_nonpublic longtext,
  holdingbranch varchar(10), timestamp timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  deleted_on datetime, location varchar(80), permanent_location varchar(80), onloan date, cn_source varchar(10),
  cn_sort varchar(255), ccode varchar(80), materials mediumtext, uri mediumtext, itype varchar(10), is_closed_stack tinyint(1) NOT
  NULL DEFAULT 0, more_subfields_xml longtext, enumchron mediumtext, copynumber varchar(32), stocknumber varchar(32),
  new_status varchar(32), exclude_from_local_holds_priority tinyint(1), KEY itembarcodeidx (barcode), KEY timestamp (timestamp),
  KEY homebranch (homebranch), KEY holdingbranch (holdingbranch), KEY itype_idx (itype), KEY items_location (location),
  KEY itembibnoidx (biblionumber), KEY itembinoidx (biblioitemnumber)"""
# Columns of a hold, which `old_reserves` has too; there readers and titles may be NULL.
_HOLD = """
  reserve_id int NOT NULL {auto} PRIMARY KEY, borrowernumber int {known}, reservedate date, biblionumber int {known},
  item_group_id int, deliverable tinyint(1), desk_id int, branchcode varchar(10), notificationdate date, reminderdate date,
  cancellationdate date, cancellation_reason varchar(80), reservenotes longtext, priority smallint NOT NULL DEFAULT 1,
  found varchar(1), timestamp timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), itemnumber int,
  waitingdate date, expirationdate date, patron_expiration_date date, lowestPriority tinyint(1) NOT NULL DEFAULT 0,
  suspend tinyint(1) NOT NULL DEFAULT 0, suspend_until datetime, itemtype varchar(10), item_level_hold tinyint(1) NOT NULL DEFAULT 0,
  non_priority tinyint(1) NOT NULL DEFAULT 0, hold_group_id int unsigned, KEY priorityfoundidx (priority, found),
  KEY borrowernumber (borrowernumber), KEY biblionumber (biblionumber), KEY itemnumber (itemnumber), KEY branchcode (branchcode)"""
_REASONS = (
    "'Manual','StockrotationAdvance','StockrotationRepatriation','ReturnToHome','ReturnToHolding','RotatingCollection',"
    "'Reserve','LostReserve','CancelReserve'"
)
_RECALLS = ",'Recall','RecallCancellation'"
_CANCELLED = ",'ItemLost','WrongTransfer'"

NEWEST: tuple[str, ...] = (
    """CREATE TABLE branches (branchcode varchar(10) NOT NULL PRIMARY KEY, branchname longtext NOT NULL, branchaddress1 longtext,
      branchzip varchar(25), branchcity longtext, branchcountry mediumtext, branchphone longtext, branchemail longtext,
      issuing tinyint, branchip mediumtext, branchnotes longtext, geolocation varchar(255), marcorgcode varchar(16),
      pickup_location tinyint(1) NOT NULL DEFAULT 1, public tinyint(1) NOT NULL DEFAULT 1, opacuserjs longtext)""",
    """CREATE TABLE authorised_values (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, category varchar(32) NOT NULL DEFAULT '',
      authorised_value varchar(80) NOT NULL DEFAULT '', lib varchar(200), lib_opac varchar(200), imageurl varchar(200),
      UNIQUE KEY av_uniq (category, authorised_value))""",
    """CREATE TABLE itemtypes (itemtype varchar(10) NOT NULL PRIMARY KEY, parent_type varchar(10), description longtext,
      rentalcharge decimal(28,6), notforloan tinyint(1) NOT NULL DEFAULT 0, bookable tinyint(1) NOT NULL DEFAULT 0,
      imageurl varchar(200), summary mediumtext, checkinmsg varchar(255), sip_media_type varchar(3),
      hideinopac tinyint(1) NOT NULL DEFAULT 0, searchcategory varchar(80), automatic_checkin tinyint(1) NOT NULL DEFAULT 0)""",
    """CREATE TABLE borrowers (borrowernumber int NOT NULL AUTO_INCREMENT PRIMARY KEY, cardnumber varchar(32) UNIQUE,
      surname longtext, firstname mediumtext, phone longtext, email longtext, branchcode varchar(10) NOT NULL DEFAULT '',
      categorycode varchar(10) NOT NULL DEFAULT '')""",
    """CREATE TABLE biblio (biblionumber int NOT NULL AUTO_INCREMENT PRIMARY KEY, frameworkcode varchar(4) NOT NULL DEFAULT '',
      author longtext, title longtext, medium longtext, subtitle longtext, part_number longtext, part_name longtext,
      unititle longtext, notes longtext, serial tinyint(1), seriestitle longtext, copyrightdate smallint,
      timestamp timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(), datecreated date,
      abstract longtext, opac_suppressed tinyint(1), KEY timestamp (timestamp))""",
    """CREATE TABLE biblioitems (biblioitemnumber int NOT NULL AUTO_INCREMENT PRIMARY KEY, biblionumber int NOT NULL DEFAULT 0,
      volume longtext, number longtext, itemtype varchar(10), isbn longtext, issn longtext, publicationyear mediumtext,
      publishercode text, pages varchar(255), place text, cn_class varchar(30), cn_item varchar(10), cn_sort varchar(255),
      timestamp timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
      CONSTRAINT biblioitems_ibfk_1 FOREIGN KEY (biblionumber) REFERENCES biblio (biblionumber) ON DELETE CASCADE ON UPDATE CASCADE)""",
    f"""CREATE TABLE items ({_ITEM},
      CONSTRAINT items_ibfk_1 FOREIGN KEY (biblioitemnumber) REFERENCES biblioitems (biblioitemnumber) ON DELETE CASCADE ON UPDATE
      CASCADE, CONSTRAINT items_ibfk_2 FOREIGN KEY (homebranch) REFERENCES branches (branchcode) ON UPDATE CASCADE,
      CONSTRAINT items_ibfk_3 FOREIGN KEY (holdingbranch) REFERENCES branches (branchcode) ON UPDATE CASCADE,
      CONSTRAINT items_ibfk_4 FOREIGN KEY (biblionumber) REFERENCES biblio (biblionumber) ON DELETE CASCADE ON UPDATE CASCADE)""",
    "ALTER TABLE items DROP KEY itembarcodeidx, ADD UNIQUE KEY itembarcodeidx (barcode)",
    f"CREATE TABLE deleteditems ({_ITEM.replace('AUTO_INCREMENT ', '')})",
    """CREATE TABLE issues (issue_id int NOT NULL AUTO_INCREMENT PRIMARY KEY, borrowernumber int NOT NULL, issuer_id int,
      itemnumber int NOT NULL UNIQUE, date_due datetime, branchcode varchar(10), returndate datetime, lastreneweddate datetime,
      renewals_count tinyint NOT NULL DEFAULT 0, auto_renew tinyint(1) DEFAULT 0, timestamp timestamp NOT NULL DEFAULT
      current_timestamp() ON UPDATE current_timestamp(), issuedate datetime, onsite_checkout int NOT NULL DEFAULT 0, note longtext,
      CONSTRAINT issues_ibfk_1 FOREIGN KEY (borrowernumber) REFERENCES borrowers (borrowernumber) ON UPDATE CASCADE,
      CONSTRAINT issues_ibfk_2 FOREIGN KEY (itemnumber) REFERENCES items (itemnumber) ON UPDATE CASCADE)""",
    """CREATE TABLE statistics (datetime datetime, branch varchar(10), value double(16,4), type varchar(16), other longtext,
      itemnumber int, itemtype varchar(10), location varchar(80), borrowernumber int, ccode varchar(80), categorycode varchar(10),
      interface varchar(30), KEY timeidx (datetime), KEY branch_idx (branch), KEY type_idx (type), KEY itemnumber_idx (itemnumber),
      KEY itemtype_idx (itemtype), KEY borrowernumber_idx (borrowernumber), KEY ccode_idx (ccode))""",
    f"""CREATE TABLE branchtransfers (branchtransfer_id int NOT NULL AUTO_INCREMENT PRIMARY KEY, itemnumber int NOT NULL DEFAULT 0,
      daterequested timestamp NOT NULL DEFAULT current_timestamp(), datesent datetime, frombranch varchar(10) NOT NULL DEFAULT '',
      datearrived datetime, datecancelled datetime, tobranch varchar(10) NOT NULL DEFAULT '', comments longtext,
      reason enum({_REASONS},'TransferCancellation'{_RECALLS}), cancellation_reason enum({_REASONS}{_CANCELLED}{_RECALLS}),
      KEY frombranch (frombranch), KEY tobranch (tobranch), KEY itemnumber (itemnumber),
      CONSTRAINT branchtransfers_ibfk_1 FOREIGN KEY (frombranch) REFERENCES branches (branchcode) ON DELETE CASCADE ON UPDATE CASCADE,
      CONSTRAINT branchtransfers_ibfk_2 FOREIGN KEY (tobranch) REFERENCES branches (branchcode) ON DELETE CASCADE ON UPDATE CASCADE,
      CONSTRAINT branchtransfers_ibfk_3 FOREIGN KEY (itemnumber) REFERENCES items (itemnumber) ON DELETE CASCADE ON UPDATE CASCADE)""",
    f"""CREATE TABLE reserves ({_HOLD.format(auto="AUTO_INCREMENT", known="NOT NULL DEFAULT 0")},
      CONSTRAINT reserves_ibfk_1 FOREIGN KEY (borrowernumber) REFERENCES borrowers (borrowernumber) ON DELETE CASCADE ON UPDATE CASCADE,
      CONSTRAINT reserves_ibfk_2 FOREIGN KEY (biblionumber) REFERENCES biblio (biblionumber) ON DELETE CASCADE ON UPDATE CASCADE,
      CONSTRAINT reserves_ibfk_3 FOREIGN KEY (itemnumber) REFERENCES items (itemnumber) ON DELETE CASCADE ON UPDATE CASCADE,
      CONSTRAINT reserves_ibfk_4 FOREIGN KEY (branchcode) REFERENCES branches (branchcode) ON DELETE CASCADE ON UPDATE CASCADE)""",
    f"""CREATE TABLE old_reserves ({_HOLD.format(auto="", known="")},
      CONSTRAINT old_reserves_ibfk_1 FOREIGN KEY (borrowernumber) REFERENCES borrowers (borrowernumber) ON DELETE SET NULL ON UPDATE SET
      NULL, CONSTRAINT old_reserves_ibfk_2 FOREIGN KEY (biblionumber) REFERENCES biblio (biblionumber) ON DELETE SET NULL ON UPDATE SET
      NULL, CONSTRAINT old_reserves_ibfk_3 FOREIGN KEY (itemnumber) REFERENCES items (itemnumber) ON DELETE SET NULL ON UPDATE SET NULL)""",
    """CREATE TABLE circulation_rules (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, branchcode varchar(10), categorycode varchar(10),
      itemtype varchar(10), rule_name varchar(32) NOT NULL, rule_value varchar(32) NOT NULL)""",
    """CREATE TABLE systempreferences (variable varchar(50) NOT NULL DEFAULT '' PRIMARY KEY, value mediumtext, options longtext,
      explanation mediumtext, type varchar(20))""",
)

# What a Koha has when it is set up: the values that mean something in an item, types, and a title to which tests add copies.
CONTENT: tuple[str, ...] = (
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "INSERT INTO circulation_rules (rule_name, rule_value) VALUES ('returnbranch', 'noreturn')",
    "INSERT INTO systempreferences (variable, value) VALUES ('Version', '25.1100000')",
    "INSERT INTO branches (branchcode, branchname) SELECT concat('BR', seq), concat('Branch ', seq) FROM seq_0_to_20",
    "INSERT INTO branches (branchcode, branchname) SELECT concat('B', seq), concat('Branch ', seq) FROM seq_0_to_49",
    "INSERT INTO branches (branchcode, branchname) VALUES ('MPL', 'Midway'), ('CPL', 'Centerville'), ('FPL', 'Fairview'), ('NEW', 'Unmapped'), ('NOWHERE', 'Unmapped')",
    """INSERT INTO authorised_values (category, authorised_value, lib) VALUES ('NOT_LOAN', '-1', 'Ordered'), ('NOT_LOAN', '1',
      'Not for loan'), ('NOT_LOAN', '2', 'Staff collection'), ('LOST', '1', 'Lost'), ('LOST', '2', 'Long overdue (lost)'),
      ('LOST', '4', 'Missing'), ('WITHDRAWN', '1', 'Withdrawn'), ('DAMAGED', '1', 'Damaged'), ('RESTRICTED', '1', 'Restricted access'),
      ('LOC', 'PROC', 'Processing center'), ('LOC', 'CART', 'Book cart'), ('LOC', 'GEN', 'General stacks')""",
    # Of a title that stays, so that no merge takes the copies of tests along.
    "INSERT INTO biblio (biblionumber, title) VALUES (999999, 'Momo')",
    "INSERT INTO biblioitems (biblioitemnumber, biblionumber) VALUES (0, 999999)",
)

# Back to 20.11. None of these columns is read, and none may be needed.
TO_20_11: Sequence[str] = (
    "UPDATE systempreferences SET value = '20.1100000' WHERE variable = 'Version'",
    # Bookings, counts of use in the house, the time of a deletion and closed stacks came later.
    *(
        f"ALTER TABLE {table} DROP COLUMN bookable, DROP COLUMN localuse, DROP COLUMN deleted_on, DROP COLUMN is_closed_stack"
        for table in ("items", "deleteditems")
    ),
    "ALTER TABLE itemtypes DROP COLUMN bookable",
    # A column of payments for lost copies went soon after; the last loan was a day without its time.
    *(
        f"ALTER TABLE {table} ADD COLUMN paidfor longtext, MODIFY datelastborrowed date"
        for table in ("items", "deleteditems")
    ),
    # Statistics had no interface and no category of reader.
    "ALTER TABLE statistics DROP COLUMN interface, DROP COLUMN categorycode",
    # Holds of an item group, of several titles together, and deliveries came later.
    *(
        f"ALTER TABLE {table} DROP COLUMN item_group_id, DROP COLUMN hold_group_id, DROP COLUMN deliverable"
        for table in ("reserves", "old_reserves")
    ),
    # Recalls came later.
    f"ALTER TABLE branchtransfers MODIFY reason enum({_REASONS},'TransferCancellation'),"
    f" MODIFY cancellation_reason enum({_REASONS}{_CANCELLED})",
    "ALTER TABLE itemtypes MODIFY notforloan tinyint(1) DEFAULT NULL",
    "ALTER TABLE branches DROP COLUMN public, DROP COLUMN opacuserjs",
)
