"""The state database: rows scored, events, and deliveries still to be made."""
