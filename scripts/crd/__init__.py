"""The tables that Calico's custom resource definitions are generated from.

`schema.py` has the words, `policy.py`, `felix.py` and `resources.py` say with them what the fields of each kind are,
and `kinds.py` lists the kinds. Names, types and limits are upstream's (projectcalico/calico, libcalico-go/config/crd
and api/config/crd); what they refuse is refused here, too, so that an object which is good here is good there.
"""
