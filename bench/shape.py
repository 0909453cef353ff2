"""The shape of a cluster, as bench/calc.c has it in memory: 100 pods a namespace, 20 replicas an application; and it as files."""

import yaml

PODS_A_NAMESPACE, REPLICAS, TEAMS = 100, 20, 20
NODE = "node-here"


class Shape:
    """Which resources there are; whoever derives from it says what becomes of each."""

    def __init__(self, policies, pods, local):
        self.policies, self.pods, self.local = policies, pods, local
        self.stride = pods // local

    def local_pods(self):
        """Numbers of the pods of this node."""
        return [index * self.stride for index in range(self.local)]

    def write(self):
        for index in range((self.pods - 1) // PODS_A_NAMESPACE + 1):
            self.write_namespace(index, index % TEAMS)
            for account in ("web", "worker"):
                self.put(f"sa-{index}-{account}", "v1", "ServiceAccount",
                         {"name": account, "namespace": f"namespace-{index}"})
        for index in range(self.pods):
            self.write_pod(index)
        for index in range(self.policies):
            self.write_policy(index)

    def put(self, name, api, kind, metadata, **rest):
        raise NotImplementedError

    def write_namespace(self, index, team):
        self.put(f"namespace-{index}", "v1", "Namespace", {
            "name": f"namespace-{index}",
            "labels": {"env": "prod" if index % 4 == 0 else "test", "team": f"team-{team}"}})

    def write_pod(self, index, version=1, name=None, address=None):
        app = index // REPLICAS
        is_local = index % self.stride == 0 and index // self.stride < self.local
        address = address or f"10.{index >> 16 & 255}.{index >> 8 & 255}.{index & 255}"
        self.put(f"pod-{name or index}", "v1", "Pod", {
            "name": f"pod-{name or index}", "namespace": f"namespace-{index // PODS_A_NAMESPACE}",
            "labels": {"app": f"app-{app}", "pod-template-hash": f"h{app * 7919}",
                       "tier": "front" if index % 3 == 0 else "back", "version": f"v{version}"}},
            spec={"nodeName": NODE if is_local and name is None else "node-there",
                  "serviceAccountName": "web" if index % 2 == 0 else "worker",
                  "containers": [{"name": "main", "image": "example/main",
                                  "ports": [{"name": "http", "containerPort": 8080}]}]},
            status={"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]})

    def _rules(self, index, version):
        applications = (self.pods - 1) // REPLICAS + 1
        rules = []
        for number in range(3):
            source = {"selector": f"app == 'app-{(index * 31 + number * 17) % applications}'"}
            if number == 1:
                source["namespaceSelector"] = f"team == 'team-{index % TEAMS}'"
            rules.append({"action": "Allow", "protocol": "TCP", "source": source,
                          "destination": {"ports": ["http"] if number == 2 else [8000 + version]}})
        return rules

    def pod_of_policy(self, index):
        """One of the pods that a policy selects."""
        return index * (self.pods // self.policies + 1) % self.pods

    def write_policy(self, index, version=0):
        pod = self.pod_of_policy(index)
        spec = {"selector": f"app == 'app-{pod // REPLICAS}'", "ingress": self._rules(index, version)}
        if index % 10 == 9:
            self.put(f"policy-{index}", "projectcalico.org/v3", "GlobalNetworkPolicy", {"name": f"policy-{index}"},
                     spec={**spec, "namespaceSelector": "env == 'prod'"})
        else:
            self.put(f"policy-{index}", "projectcalico.org/v3", "NetworkPolicy",
                     {"name": f"policy-{index}", "namespace": f"namespace-{pod // PODS_A_NAMESPACE}"}, spec=spec)

    def write_switch(self, action):
        """A policy before all others, which does this to every request of the first local pod's application."""
        self.put("switch", "projectcalico.org/v3", "GlobalNetworkPolicy", {"name": "switch"},
                 spec={"order": 0, "selector": "app == 'app-0'", "types": ["Ingress"], "ingress": [{"action": action}]})


class Directory(Shape):
    """Each resource a file."""

    def __init__(self, folder, *numbers):
        super().__init__(*numbers)
        self.folder = folder

    def put(self, name, api, kind, metadata, **rest):
        text = yaml.dump({"apiVersion": api, "kind": kind, "metadata": metadata, **rest}, sort_keys=False,
                         Dumper=yaml.CSafeDumper)
        temporary = self.folder / f".{name}.tmp"
        temporary.write_text(text)
        temporary.rename(self.folder / f"{name}.yaml")
