"""Consentry: a transparent privacy gateway for PostgreSQL."""
