def load(source_lang, target_lang, seed):
    raise NotImplementedError
