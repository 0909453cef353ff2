/* Private to harden*.c: the two fences that take more than a call to put up. harden.h says what they keep out.
 */
#ifndef CMD_HARDEN_FENCES_H
#define CMD_HARDEN_FENCES_H

#include "cmd/harden_needs.h"

/* seccomp. That the kernel does not have it is logged. */
void harden_calls(const struct needs *needs);

/* Landlock. False: a folder cannot be opened, or the kernel has it but
 * refuses the rules. */
bool harden_files(const struct harden_paths *paths, const struct needs *needs, struct error *err);

#endif
