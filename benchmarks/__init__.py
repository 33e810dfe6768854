"""Speed and quality beside the programs that a user might take instead."""
