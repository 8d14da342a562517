"""One reader of recordings for each file format."""
