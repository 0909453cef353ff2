"""From a directory of resources to the messages for one pod, as the tests see it.

resources.py   short forms of resources, written out as the files of a directory
stream.py      the messages that come out, as plain data with IP sets by content
kubernetes.py  what Kubernetes says of its NetworkPolicy, in plain Python
clusters.py    small random clusters, policies and requests
watched.py     a server whose directory is changed while it runs
"""
