/* Least privilege for programs that have to be root: they give up what they do not need of it, for good, so that whoever takes
 * them over through a bug gains less.
 *
 *     capabilities   all but those that are named
 *     no_new_privs   no program that is executed gives more rights; above all, root's does not give root's capabilities back
 *
 * Who mounts keeps CAP_SYS_ADMIN, which is much. A system call filter, which cannot look into paths, and Landlock, under which
 * nothing may be mounted at all, would take nothing from that; see harden.h for programs that do not mount.
 *
 * Threads: call it before threads are started. Source: capabilities(7).
 */
#ifndef CMD_PRIVILEGES_H
#define CMD_PRIVILEGES_H

#include <stdint.h>

#include "base/error.h"

/* `kept` has bit N set for the capability with the number N (linux/capability.h). One that the process does not have is not
 * given to it, and that it is missing is no failure. */
bool privileges_keep(uint64_t kept, struct error *err);

#endif
