"""The built-in transforms: filter, dedup, enrich, script."""
