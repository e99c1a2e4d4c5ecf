"""Retrievers of other frameworks over an index; each is an extra, and is imported from the module of its framework.

================ =================== =====================================
module           extra               what for
================ =================== =====================================
``langchain``    ``langchain``       LangChain, of langchain-core
``llama_index``  ``llama-index``     LlamaIndex, of llama-index-core
``haystack``     ``haystack``        Haystack, of haystack-ai
================ =================== =====================================

Each has one class, ``SemsearchRetriever``, which takes the path of an index or an open one, and gives passages with their
citations (`citing`). What they have in common is in `searching`.

Deliberately not here: anything of a framework, so that this is imported in no time; stores to write to: articles are indexed by
`semsearch.build`, where their spans and citations come from.
"""
