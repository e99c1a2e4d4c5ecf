"""Indexing under faults: processes killed, disks full, bytes flipped, many readers and writers; run by ``torture.py``.

===============  =======================================================================================
``collection``   made-up articles, questions, an encoder without a model; known states of a collection
``jobs``         what a process under test does; one that has all imported and forks one for each job
``launcher``     starting, killing and waiting for such processes; the shim of ``faults.c``
``scenarios``    an operation with the answers before and after it; whether an index holds one of the two
``trials``       counts, and what is kept of a trial that went wrong
``kills``        kill -9 at random moments
``operations``   a kill or an error at every single file operation
``full``         full disks, folders that cannot be written
``corruption``   flipped bytes, cut, emptied, deleted and swapped files
``crowd``        two writers and many readers at once
``scale``        refreshing 5,000 articles, one change among 100,000 passages, a million passages
===============  =======================================================================================

Deliberately not here: loss of power, which takes a file system that forgets what was not synced.
"""
