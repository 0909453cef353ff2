/* Least privilege: after its start dikastes gives up what it does not need, so that whoever takes it over through a bug gains
 * little. Three fences, each the kernel's own, each for good:
 *
 *   no_new_privs   no program that is executed gives more rights. None is executed anyway.
 *   seccomp        system calls that are not on the list in harden.c fail with EPERM: no new process, program, file, listening
 *                  port or executable memory, files opened for reading only, sockets of the families that the policy source needs
 *                  (of a directory: none). Nothing kills the process: a sidecar must not die of a call that was not foreseen.
 *                  x86-64 and aarch64, on 64-bit calls; elsewhere there is no filter, and the log says so.
 *   Landlock       files: below the policy's folder (below) they may be read, in the socket's folder removed; if HOST of the target is
 *                  a name, what resolving reads may be read: /etc and where /etc/resolv.conf really is. TCP: connections to the
 *                  target's port and, to resolve a name, to port 53; no new listener. Needs Linux 5.13, for TCP 6.7; without
 *                  it the log says so at level debug.
 *
 * The policy's folder: the kernel ties the permission to the folder there is, not to its path, but a folder that was removed and
 * made anew is picked up again (datastore/directory.h). So the folder that holds it is what may be read, unless that is
 * the root: then it is the folder alone, which must not be replaced. A link in it that leads elsewhere cannot be read.
 *
 * What is open stays usable: listening sockets, the policy's folder, a file under /proc. What will be needed and is not
 * allowed, must be opened before.
 *
 * Threads: call it once, before other threads are started; these inherit all of it. The system call filter also takes hold of threads
 * that run already, but Landlock does not before Linux 7.0. Threads must end by returning, not by pthread_exit or
 * cancellation, for which glibc loads a library.
 *
 * Left alone: PR_SET_DUMPABLE. Without it there would be no core dump and no profile of a sidecar that misbehaves, and
 * what there is to be read in its memory is its policy.
 *
 * Sources: seccomp(2), landlock(7), Linux' Documentation/userspace-api/landlock.rst.
 */
#ifndef CMD_HARDEN_H
#define CMD_HARDEN_H

#include "base/error.h"

struct harden_paths {
    const char
        *listen; /* the socket that is served on and removed at the end; its folder must be there */
    const char *dial; /* the policy source, as --dial has it */
};

/* Puts all three up. False: a folder that is named by `paths` cannot be opened any more, or the kernel has a fence but refuses to put
 * it up as it should; parts may be up by then. What the kernel does not have is no failure. */
bool harden_process(const struct harden_paths *paths, struct error *err);

#endif
