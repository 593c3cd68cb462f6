"""The state database: what was scored, what happened, and what is still to be delivered."""
