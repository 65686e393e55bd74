"""Doubts: what the files may say, and what is hardly meant so."""
