"""The text and the picture of a message, shared by the notifiers."""
