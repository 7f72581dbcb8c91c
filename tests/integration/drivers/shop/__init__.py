"""A Django app: its tables are made by django_session.py."""
