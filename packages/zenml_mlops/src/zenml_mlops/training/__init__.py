"""Split, evaluation, examination and comparison of models, and the ZenML steps that record them."""
