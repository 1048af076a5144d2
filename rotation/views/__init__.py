"""The questions that pages, API and commands put to the database, each written once."""
