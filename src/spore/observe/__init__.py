"""Seeing what runs: metrics, a table, a dashboard."""
