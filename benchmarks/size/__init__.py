"""A million passages, and ten million vectors: made out of real ones, and what they cost.

The recipe. All of scale-passages.jsonl.gz (175,513 real passages) is indexed with the bundled model: these are really encoded.
Further passages are windows of five sentences over them, each sentence as it stands there: of sentences that follow each other,
then, when these are used up, of three that follow each other and two from elsewhere. The vector of a window is the sum of
those of the passages that its sentences are from, with noise (cosine about 0.9 to the sum), and the codes of its words are those
that its sentences had in their own passages. Vectors beyond a million are these again, with noise.
"""
