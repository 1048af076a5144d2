"""The page: what staff see of the day, and what they decide. Each page is one file with its questions to the database."""
