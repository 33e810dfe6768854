"""Text -> text: search, two engines that run it, and the Translator that joins them with a tokenizer."""
