"""What staff must hear of: levels against targets, copies that do not arrive, places and feeds that fall silent."""
