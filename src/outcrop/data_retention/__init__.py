"""What may be kept of what an account asks, by the mode that it sets."""
