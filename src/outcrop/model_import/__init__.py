"""Models brought from elsewhere: Hugging Face folders and GGUF files in S3, checked without trust, converted and served."""
