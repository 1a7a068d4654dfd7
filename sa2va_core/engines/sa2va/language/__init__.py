"""The language side: pictures and a phrase in, an answer and the states of its [SEG] tokens out."""
