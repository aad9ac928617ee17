"""What an analysis gives, in words and tables, and the one list of analyses."""
