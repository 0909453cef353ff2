"""The calculation as plain Python: from all resources of a world to what the clients of one node know.

It is worked out from scratch each time, by the specification's pages on resources and on the stream, and shares
nothing with the C sources.  A *world* is {name: resource}, the names as in calculation/resources.py ("Pod bank/web",
"KubernetesNetworkPolicy bank/p"), the resources whole.

resources.py  access to a world; how the tests mark what is broken
labels.py     profiles, and the labels that an endpoint or a network set ends up with
endpoints.py  Pods, WorkloadEndpoints, HostEndpoints; which of them are local
selectors.py  the selectors that a policy or one side of a rule amounts to
kubernetes.py a Kubernetes NetworkPolicy as a policy of the default tier
rules.py      a rule as it is on the wire
policies.py   policies, tiers and their order
ip_sets.py    who is a member of an IP set
state.py      all of it together
"""
