"""Charts of time series for reports and messages, drawn with matplotlib, which the first of them loads."""
