#!/usr/bin/env python3
"""Yao Bank: ordinary network policy for a service mesh, at real Envoys, on this one machine.

Run as root by `make demo`. Exit status: 0 everything came out as told, 1 something did not, 2 it could not
be tried here (the message says what to do), 128+N ended by signal N.
"""

import argparse
import os
import signal
import sys

try:
    from bank import Bank, open_bank
    from mesh.processes import StartFailed
    from mesh.requirements import Missing, find_programs
    from mesh.signals import Interrupted, interruptible
    from narrator import Narrator
    from story import explain_how_to_poke, tell
except ModuleNotFoundError as package:
    print(f"yaobank.py: no Python package '{package.name}'. Run: make demo, which installs it", file=sys.stderr)
    sys.exit(2)


def run(keep: bool, say: Narrator) -> int:
    """Open the bank, tell the story and close it again; the exit status."""
    programs = find_programs()
    say.heading("Yao Bank opens: three services and an attacker, each in a network namespace of its own")
    say.text(
        "Beside each service run a real Envoy, set up as Istio's sidecars are, and a dikastes that tells it which"
        " requests to let through. On the node felix reads the policies from a directory and tells each dikastes those"
        " of its pod, on the socket that kubelet's volume driver uds brings into the pod."
    )
    with open_bank(programs) as mesh:
        bank = Bank(mesh)
        bank.open()
        came_out = tell(bank, say)
        if keep:
            try:
                explain_how_to_poke(bank, say)
                signal.pause()
            except Interrupted:
                say.heading("Closed.")
    return 0 if came_out else 1


def main() -> int:
    """Read the command line and turn every way the story can end into an exit status."""
    parser = argparse.ArgumentParser(description="The Yao Bank story at real Envoys.", epilog="KEEP=1 is --keep.")
    parser.add_argument("--keep", action="store_true", help="leave the bank open afterwards and say how to poke it")
    arguments = parser.parse_args()
    try:
        with interruptible():
            return run(arguments.keep or os.environ.get("KEEP") == "1", Narrator())
    except Missing as missing:
        print(f"yaobank.py: {missing}", file=sys.stderr)
        return 2
    except StartFailed as failed:
        print(f"yaobank.py: {failed}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        print(f"yaobank.py: ended by {interrupted}; everything was cleaned up", file=sys.stderr)
        return interrupted.exit_status


if __name__ == "__main__":
    sys.exit(main())
