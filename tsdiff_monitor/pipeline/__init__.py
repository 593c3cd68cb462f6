"""One tick and one fit of a monitor."""
