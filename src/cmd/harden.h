/* Least privilege: after its start dikastes gives up what it does not need, so that whoever takes it over through a bug
 * gains little. Three fences, each the kernel's own, each for good:
 *
 *   no_new_privs  No program that is executed gives more rights. None is executed anyway.
 *   seccomp       System calls that are not on a list (harden_calls.c) fail with EPERM: no new process, program, file, listening
 *                 port or executable memory; files are opened for reading only; sockets are of the families that the
 *                 policy source needs (a directory: none). Nothing kills the process: a sidecar must not die of
 *                 a call that was not foreseen. Calls that a C library does without on ENOSYS fail with that: clone3,
 *                 and those that are newer than the list. On x86-64 and aarch64; elsewhere there is no filter,
 *                 and the log says so.
 *   Landlock      Of files, the policy's folder (see below) may be read, and from the socket's folder be
 *                 removed; if HOST of the target is a name, what resolving it reads may be read: /etc, and where
 *                 /etc/resolv.conf really is; of a cluster, the folders of the token and the certificates. Of TCP,
 *                 connections to the target's port and, for a name, to port 53 (to any with a proxy); no new
 *                 listener. No signals to other programs, no abstract sockets of theirs. From Linux 5.13 on, TCP
 *                 from 6.7, the last two from 6.12; without Landlock the log says so at level debug.
 *
 * The policy's folder: the kernel ties the permission to the folder that is there, not to its path, and one that is removed and
 * made anew has to be picked up again (datastore/directory.h). So what may be read is the folder that holds it. If that is the
 * root, it is the policy's folder alone, which then must not be replaced. Links in it that lead elsewhere cannot be read. That the
 * folders above it are moved can be noticed all the same: Landlock has no say in what is watched or looked at (stat).
 *
 * What is open stays usable: listening sockets, a file under /proc. What will be needed and is not allowed must be opened
 * before.
 *
 * Threads: call it before threads are started; they inherit all of it. (The filter would take hold of running threads too,
 * Landlock would not.) Threads end by returning: for pthread_exit and cancellation glibc loads a library, which fails.
 *
 * Names are resolved by /etc/hosts and DNS, which are part of glibc. Other modules that /etc/nsswitch.conf may name cannot be
 * loaded, and getaddrinfo passes them over.
 *
 * Left alone: PR_SET_DUMPABLE. Without it there would be no core dump and no profile of a sidecar that misbehaves, and what
 * there is to be read in its memory is its policy.
 *
 * In builds with AddressSanitizer or ThreadSanitizer their calls are allowed as well, and Landlock is left out.
 *
 * Sources: seccomp(2), landlock(7), Linux' Documentation/userspace-api/landlock.rst.
 */
#ifndef CMD_HARDEN_H
#define CMD_HARDEN_H

#include "base/error.h"
#include "kube/config.h"

struct harden_paths {
    const char *listen;                /* the socket that is served on, removed at the end */
    const char *dial;                  /* where policy comes from, as --dial says it */
    const struct kube_config *cluster; /* with kubernetes: what is connected to; else NULL */
};

/* Puts all three up. False: a folder of `paths` cannot be opened any more, or the kernel has Landlock but refuses the rules.
 * What the kernel or the container does not have is no failure, but logged. */
bool harden_process(const struct harden_paths *paths, struct error *err);

#endif
