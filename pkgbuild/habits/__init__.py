"""For who comes from a Supabase-style set-up: `create_update.sh` and the names in its `.env` files (docs/MIGRATION.md).

Python's own library only: `create_update.sh` runs before anything is installed.
"""
