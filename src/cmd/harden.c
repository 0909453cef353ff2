#include "cmd/harden.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>

#include "cmd/harden_fences.h"

bool harden_process(const struct harden_paths *paths, struct error *err)
{
    const struct needs needs = needs_of(paths);
    /* Whoever may gain privileges must be root to put up the other two. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(err, "cannot set no_new_privs: %s", strerror(errno));
    /* Landlock first: its own calls are not on the list. */
    if (!harden_files(paths, &needs, err))
        return false;
    harden_calls(&needs);
    return true;
}
