"""Delivery: from the store's outbox to the notifiers, at least once, with retries in one place."""
