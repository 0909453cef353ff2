"""The policies that more than one module of these tests applies."""

# Only the account client of the server's own namespace, only these requests; and any bytes on the TCP ports.
MEMBERS_ONLY = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: members-only
  namespace: default
spec:
  selector: app == 'server'
  types: [Ingress]
  ingress:
    - action: Allow
      source:
        serviceAccounts:
          names: ["client"]
      http:
        methods: ["GET"]
        paths:
          - prefix: /public
    - action: Allow
      source:
        serviceAccounts:
          names: ["client"]
      http:
        methods: ["POST"]
        paths:
          - exact: /orders
    - action: Allow
      protocol: TCP
      source:
        serviceAccounts:
          names: ["client"]
      destination:
        ports: [9000, 9001]
"""
