#include "cmd/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool privileges_keep(uint64_t kept, struct error *err)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set(err, "cannot set no_new_privs: %s", strerror(errno));
    if (syscall(SYS_capget, &header, data) != 0)
        return error_set(err, "cannot read capabilities: %s", strerror(errno));
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        uint32_t left = data[i].permitted & (uint32_t)(kept >> (32 * i));
        data[i] = (struct __user_cap_data_struct){left, left, 0};
    }
    return syscall(SYS_capset, &header, data) == 0 ||
           error_set(err, "cannot give up capabilities: %s", strerror(errno));
}
