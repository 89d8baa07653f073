"""What an answer is measured by: words in common, perturbed prompts, a judge's verdicts, agreement."""
