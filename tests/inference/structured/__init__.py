"""With a schema, a strict tool or a call that must happen, a whole answer always fits, whatever the model's quality."""
