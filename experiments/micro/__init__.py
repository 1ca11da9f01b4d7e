"""micro-Bark: how the small Bark that ships in the package is made.

Everything it learns from is synthesised on the spot by espeak-ng, so nothing is downloaded and nothing is shipped
but the result. Read in this order:

``layout``      every id, rate and block length of the model family
``espeak``      speech with phone and word events, through libespeak-ng
``speakers``    randomised voice definitions, and who is held out
``texts``       generated sentences, and which words and shapes are held out
``labels``      speaker-independent semantic tokens and alignments from the events
``corpus``      shards on disk, generated from seeds
``codec``       a tiny EnCodec: initialisation, quantiser training, losses
``gpt``         the three transformers with HF's names, and how they start
``training``    the loop: seeds, checkpoints, deadlines in CPU time
``train_*``     one stage each
``generate``    plain reference inference for evaluation
``evaluate``    every figure in the model card
``pack``        the asset in Hugging Face ``BarkModel`` layout
"""
