"""Objects in the data folder: bytes in files that are never changed, all else in the database, which decides what there is."""
