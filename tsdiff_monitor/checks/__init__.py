"""Examination of the data that a monitor's queries return, with advice on its configuration."""
