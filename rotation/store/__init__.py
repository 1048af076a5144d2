"""The present and the history in PostgreSQL: tables, migrations, and a repository for each thing that is kept."""
