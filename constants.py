"""Numbers that the corpus, the network and the search must agree on."""

PAD, BOS, EOS, UNK = 0, 1, 2, 3  # ids of the special tokens
MAX_TOKENS = 1024  # of one sentence: the network has so many positions
