"""A service mesh small enough to read, on one machine and without containers.

A "pod" is a network namespace behind a veth, a "node" is one more namespace, and beside each meshed pod's
application run a real Envoy, set up as Istio sets up its sidecars, and a dikastes, which a felix on the node
tells its policy. The demo tells its story on it and the end-to-end tests put their questions to it.

    requirements  what must be there before anything starts, and how to get it
    signals       leave by exception on Ctrl-C, SIGTERM and SIGHUP, so that everything is cleaned up
    network       namespaces, veths, addresses, and the redirect into the sidecar
    processes     start a program, wait until it is ready, stop it by its id
    probes        what a program still lacks to be ready
    certificates  the mesh's authority and the SPIFFE certificates it issues
    envoy_config  the configuration of one sidecar
    access_log    what Envoy says about each request, with dikastes' reason
    resources     the Kubernetes objects and policies: which pods there are, and the watched directory
    node          felix, and what kubelet does for it: each pod's volume with felix' socket
    mesh          all of it put together: Mesh and Pod
    stream        somebody who asks again and again while something else happens
"""
