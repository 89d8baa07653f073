"""The trainer: generated data, tokenizer, model, loop, export. Knows no AWS; the server never imports it."""
