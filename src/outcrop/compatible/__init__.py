"""The OpenAI and Anthropic HTTP interfaces over the same inference functions that Bedrock's operations use."""
