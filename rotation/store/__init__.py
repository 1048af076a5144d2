"""The present and the history in PostgreSQL: tables, migrations, and one repository for each thing that is kept."""
